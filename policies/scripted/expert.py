"""What all scripted experts share: tool goals become joint actions, and nothing is remembered."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.robot.kinematics import DualArmKinematics, home_joints
from policies.scripted.motion import DIFFERENCE_S, ToolGoal, ToolMover, reference_joints
from xr0_sim.types import RobotState

HELD_SPEED = 0.05
"""Tool speed below which a tool that lags is taken to be held [m/s]."""


class ScriptedExpert(abc.ABC):
    """Maps (robot state, privileged state) to the joint action of the next tick.

    Attributes:
        control_hz: Ticks per second [Hz], those of its kinematics.
    """

    lets_off = False
    """See `policies.scripted.motion.ToolMover`."""

    def __init__(self, kinematics: DualArmKinematics | None = None):
        self._kinematics = kinematics = kinematics or DualArmKinematics()
        self.control_hz = kinematics.control_hz
        self._mover = ToolMover(kinematics, self.lets_off)
        self._home_pos, self._home_quat = kinematics.forward(home_joints())

    @abc.abstractmethod
    def goals(self, robot: RobotState, state: Any) -> tuple[ToolGoal, ToolGoal]:
        """Where both tools should go now."""

    @property
    @abc.abstractmethod
    def phase(self) -> tuple[str, str]:
        """Per arm, what it was last asked to do."""

    def action(self, robot: RobotState, state: Any, tempo: float = 1.0) -> NDArray[np.float64]:
        """Joint action (14,) for the coming tick; `tempo` scales the tool speeds."""
        return self._mover.action(robot, self.goals(robot, state), tempo)

    def commanded(self, robot: RobotState) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Tool poses the present command stands for, see `envs.robot.following`."""
        pos, quat = self._kinematics.forward(reference_joints(self._kinematics, robot))
        return list(zip(pos, quat, strict=True))

    def blocked(self, robot: RobotState, arm: int, gap: float, least: float) -> bool:
        """Whether something keeps a tool from where it was sent.

        Args:
            robot: Proprioception.
            arm: Whose tool.
            gap: Distance between the tool and what its command stands for [m].
            least: Gap that means contact for a servo that follows at once [m].
        """
        following = self._kinematics.following
        if gap <= max(least, following.play_m):
            return False
        # An arm that is still getting under way, or coming to rest, has nothing in its way.
        return not following.lags or float(np.linalg.norm(self.velocity(robot, arm))) < HELD_SPEED

    def velocity(self, robot: RobotState, arm: int) -> NDArray[np.float64]:
        """Of a tool, world (3,) [m/s]."""
        ahead = robot.joint_pos + robot.joint_vel * DIFFERENCE_S
        pos, _ = self._kinematics.forward(ahead)
        return (pos[arm] - robot.tool_pos[arm]) / DIFFERENCE_S

    @property
    def home_posture(self) -> NDArray[np.float64]:
        """Joints of an arm at rest, (6,) [rad]."""
        return home_joints()[0]

    def home(self, arm: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tool pose of an arm at rest."""
        return self._home_pos[arm], self._home_quat[arm]
