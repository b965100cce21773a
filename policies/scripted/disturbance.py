"""Injected failures for demonstrations: the hand wanders off, opens early, closes on nothing.

The disturbed action is what the robot executes; the label stays the expert's own next chunk from
wherever that leads, so that recovery is in the data and mistakes are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import join_arms, limit_step, split_arms
from envs.robot.kinematics import DualArmKinematics
from xr0_sim.rotations import quat_multiply


@dataclass(frozen=True)
class DisturbanceConfig:
    """How often and how hard.

    Attributes:
        rate_hz: Mean number of disturbances per second and arm.
        offset_m: Standard deviation of the tool offset of a detour [m].
        turn_rad: Standard deviation of its rotation about the vertical [rad].
        jaw_share: Share of disturbances that hit the jaw instead of the path.
        shortest_ticks: Shortest disturbance.
        longest_ticks: Longest disturbance.
        start_offset_m: Standard deviation of the random start posture's tool offset [m].
    """

    rate_hz: float = 0.35
    offset_m: float = 0.03
    turn_rad: float = 0.15
    jaw_share: float = 0.3
    shortest_ticks: int = 5
    longest_ticks: int = 14
    start_offset_m: float = 0.05


class Disturbance:
    """Disturbs a stream of joint actions; one instance per episode."""

    def __init__(
        self, config: DisturbanceConfig, kinematics: DualArmKinematics, rng: np.random.Generator
    ):
        self._config = config
        self._kinematics = kinematics
        self._rng = rng
        self._left = np.zeros(2, dtype=int)
        self._offset = np.zeros((2, 3))
        self._turn = np.zeros(2)
        self._jaw: list[float | None] = [None, None]
        if config.start_offset_m > 0:
            self._left[:] = rng.integers(6, 18, 2)
            self._offset = rng.normal(0, config.start_offset_m, (2, 3))

    @property
    def active(self) -> bool:
        """Whether an arm is being disturbed now."""
        return bool((self._left > 0).any())

    def apply(
        self, action: NDArray[np.float64], command: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The action (14,) that is executed instead of the expert's.

        Args:
            action: What the expert wants.
            command: The last commanded action.
        """
        for arm in range(2):
            if self._left[arm] == 0 and self._rng.random() < self._config.rate_hz / 30:
                self._start(arm)
        if not self.active:
            return action
        joints, jaws = split_arms(action)
        seed, _ = split_arms(command)
        pos, quat = self._kinematics.forward(seed)
        hit = [arm for arm in range(2) if self._left[arm] > 0 and self._jaw[arm] is None]
        if hit:
            goal, turned = pos.copy(), quat.copy()
            for arm in hit:
                goal[arm] += self._offset[arm] / self._config.longest_ticks * 1.5
                goal[arm, 2] = max(goal[arm, 2], 0.006)
                half = self._turn[arm] / self._config.longest_ticks / 2
                turn = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])
                turned[arm] = quat_multiply(turn, quat[arm])
            solved = self._kinematics.inverse(seed, goal, turned, iterations=1)
            joints = joints.copy()
            joints[hit] = solved[hit]
        jaws = np.array(
            [
                jaws[a] if self._left[a] == 0 or self._jaw[a] is None else self._jaw[a]
                for a in (0, 1)
            ]
        )
        self._left = np.maximum(self._left - 1, 0)
        return limit_step(join_arms(joints, jaws), command)

    def _start(self, arm: int) -> None:
        config, rng = self._config, self._rng
        self._left[arm] = rng.integers(config.shortest_ticks, config.longest_ticks + 1)
        if rng.random() < config.jaw_share:
            self._jaw[arm] = float(rng.choice([0.0, 0.8]))
        else:
            self._jaw[arm] = None
            self._offset[arm] = rng.normal(0, config.offset_m, 3)
            self._turn[arm] = rng.normal(0, config.turn_rad)
