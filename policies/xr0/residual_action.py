"""Residuals of actions through the kinematics of the arms: there and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import JOINT_HIGH, JOINT_LOW, join_arms, split_arms
from envs.robot.kinematics import DualArmKinematics
from xr0_sim.model.correction.residual import anchored, with_residual
from xr0_sim.model.spec.action_layout import ArmTargets
from xr0_sim.types import RobotState

ITERATIONS = 2
"""Steps of the inverse kinematics, as for the rows of a chunk."""


class ResidualActions:
    """Environment actions as tool targets, and residuals added to them.

    Args:
        kinematics: Of the arms; those of `policies.xr0.chunk_model` if None.
    """

    def __init__(self, kinematics: DualArmKinematics | None = None) -> None:
        self._kinematics = kinematics or DualArmKinematics()

    def targets(self, actions: NDArray[np.float64]) -> ArmTargets:
        """Tool targets (T, 2, *) of actions (T, 14)."""
        joints, _ = split_arms(actions)
        return ArmTargets.from_actions(actions, *self._kinematics.forward(joints))

    def residual(
        self, planned: NDArray[np.float64], wanted: NDArray[np.float64], robot: RobotState
    ) -> NDArray[np.float64]:
        """Residual (14,) that leads from one action (14,) to another, without bound."""
        rows = anchored(self.targets(np.stack([planned, wanted])), robot)
        return rows[1] - rows[0]

    def add(
        self, planned: NDArray[np.float64], residual: NDArray[np.float64], robot: RobotState
    ) -> NDArray[np.float64]:
        """Action (14,) of a planned one (14,) and a residual (14,), within the joint ranges."""
        position, quaternion, jaws = with_residual(self.targets(planned[None]), residual, robot)
        joints, _ = split_arms(planned)
        solved = self._kinematics.inverse(joints, position[0], quaternion[0], ITERATIONS)
        return join_arms(solved, jaws[0]).clip(JOINT_LOW, JOINT_HIGH)
