"""How fast the joints turn and how often their torque is at its limit."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.robot.facts import JOINTS
from xr0_sim.conventions import ARMS

AT_LIMIT = 0.999
"""Share of the largest torque that counts as at the limit."""


class JointLog:
    """Speeds and torques of both arms, substep by substep.

    Args:
        model: The compiled scene.
    """

    def __init__(self, model: mujoco.MjModel):
        names = [f"{arm}/{joint}" for arm in ARMS for joint in JOINTS]
        self._names = names
        self._dofs = np.array([model.joint(name).dofadr[0] for name in names])
        self._speed = np.array([facts.speed for facts in JOINTS.values()] * len(ARMS))
        self._torque = np.array([facts.torque for facts in JOINTS.values()] * len(ARMS))
        self._fastest = np.zeros(len(names))
        self._at_limit = np.zeros(len(names))
        self._steps = 0

    def read(self, data: mujoco.MjData) -> None:
        """Takes in the last physics step."""
        speed = np.abs(data.qvel[self._dofs]) / self._speed
        np.maximum(self._fastest, speed, out=self._fastest)
        torque = np.abs(data.qfrc_actuator[self._dofs])
        self._at_limit += torque >= AT_LIMIT * self._torque
        self._steps += 1

    def figures(self) -> dict[str, Any]:
        """Largest speed over its limit [1]; the joint most at its torque limit, share of steps."""
        worst = int(self._at_limit.argmax())
        return {
            "speed_ratio": float(self._fastest.max()),
            "torque_limit_share": float(self._at_limit[worst]) / max(1, self._steps),
            "torque_limit_joint": self._names[worst] if self._at_limit[worst] else None,
        }
