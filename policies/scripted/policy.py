"""The expert as a Gymnasium policy: one action per observation, no chunks, no latency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import PER_BRICK, BlockState
from envs.robot.actions import to_unit
from envs.robot.kinematics import DualArmKinematics
from envs.robot.proprioception import robot_state_from_vector
from envs.robot.servos import Servo, find_servo
from envs.world import DEFAULT_WORLD, World, find_world
from policies.scripted.blocks.expert import BlockExpert
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError


class ScriptedPolicy:
    """`predict` on observations of ``observation="state"``, single or vectorised.

    Args:
        world: World of the environment it acts in.
        servo: Its servo; "" for the world's. The expert leads what lags.
        control_hz: Its control rate [Hz].
    """

    def __init__(
        self,
        world: str | World = DEFAULT_WORLD,
        servo: str | Servo = "",
        control_hz: int = CONTROL_HZ,
    ) -> None:
        world = find_world(world)
        kinematics = DualArmKinematics(world, find_servo(servo or world.servo), control_hz)
        self._expert = BlockExpert(kinematics)

    def reset(self) -> None:
        """Nothing to forget."""

    def predict(
        self,
        observation: Mapping[str, NDArray],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], Any]:
        """Gymnasium actions (14,) or (B, 14) float32, and `state` unchanged."""
        if "privileged" not in observation:
            raise ConfigError(
                "scripted policy: expected the key 'privileged', got "
                f"{sorted(observation)}; make the environment with observation='state'"
            )
        robots, scenes = np.asarray(observation["proprio"]), np.asarray(observation["privileged"])
        single = robots.ndim == 1
        rows = zip(np.atleast_2d(robots), np.atleast_2d(scenes), strict=True)
        actions = np.stack([self._act(robot, scene) for robot, scene in rows])
        return (actions[0] if single else actions), state

    def _act(self, robot: NDArray, scene: NDArray) -> NDArray[np.float32]:
        n = _brick_count(len(scene))
        action = self._expert.action(
            robot_state_from_vector(robot), BlockState.from_vector(scene, n)
        )
        return to_unit(action)


def _brick_count(length: int) -> int:
    """Number of bricks n of a privileged vector: 16 n + n² + 4 entries."""
    n = round((-PER_BRICK + (PER_BRICK**2 + 4 * (length - 4)) ** 0.5) / 2)
    if BlockState.vector_dim(n) != length:
        raise ConfigError(f"privileged: no brick count gives {length} entries")
    return n
