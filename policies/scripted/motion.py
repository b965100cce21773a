"""From tool goals to joint targets: smooth, speed-limited and without memory.

A scripted expert names, per arm, where the tool should end up. `ToolMover` advances the commanded
tool pose by one tick towards it. What it needs to know about the past – the present command and the
present velocity – it reads from the robot state, so an expert can be asked at any snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import join_arms, limit_step, split_arms
from envs.robot.kinematics import DualArmKinematics
from xr0_sim.rotations import quat_conjugate, quat_from_rotvec, quat_multiply, rotvec_from_quat
from xr0_sim.types import RobotState

DIFFERENCE_S = 1.0 / 30
"""Span over which a tool's velocity is taken from that of the joints [s]; at every control rate."""
MAX_ACCELERATION = 2.5
"""Of the tool [m/s²]."""
MAX_TURN_RATE = 2.6
"""Of the tool [rad/s]."""
MAX_TURN_ACCELERATION = 18.0
"""[rad/s²]"""
PRESSING = 0.015
"""Distance between a soft arm's tool and its command that presses on something [m]."""
SOFT_JOINT_RATE = 2.2
"""Fastest joint of a soft arm's way [rad/s]: 70 % of what the joints can do, so that they keep the
torque to follow. Chosen."""
LONGEST_LEAD = 0.06
"""Distance by which a soft arm's command may lead its tool, so that it presses no harder [m];
chosen, as far as a brick is pulled."""
JOINT_RATE, JOINT_ACCELERATION = 2.0, 8.0
"""Of a posture change: norm over the joints of an arm [rad/s], [rad/s²]."""


@dataclass(frozen=True)
class ToolGoal:
    """Where one arm's tool should go.

    Attributes:
        pos: (3,) world [m].
        quat: (4,) world, wxyz.
        jaw: Opening fraction.
        speed: Upper bound of the tool speed [m/s].
        joints: (6,) posture to take up instead, on the straight way in joint space [rad]; gets an
            arm out of postures that no way of its tool leads out of.
    """

    pos: NDArray[np.float64]
    quat: NDArray[np.float64]
    jaw: float
    speed: float = 0.40
    joints: NDArray[np.float64] | None = None


def approach_velocity(
    gap: NDArray[np.float64],
    velocity: NDArray[np.float64],
    speed: float,
    acceleration: float,
    tick_s: float,
) -> NDArray[np.float64]:
    """Next velocity (k,) that closes `gap` (k,) without overshoot, in ticks of `tick_s` [s].

    Speed follows the braking curve of `acceleration`; the change per tick is bounded by it too.
    """
    distance = float(np.linalg.norm(gap))
    if distance > 1e-9:
        half = acceleration * tick_s / 2
        braking = np.sqrt(half**2 + 2 * acceleration * distance) - half
        wanted = gap * (min(speed, braking, distance / tick_s) / distance)
    else:
        wanted = np.zeros(3)
    change = wanted - velocity
    size = float(np.linalg.norm(change))
    limit = acceleration * tick_s
    return wanted if size <= limit else velocity + change * (limit / size)


@dataclass(frozen=True)
class _Motion:
    """Where both tools are sent, where they are and how they move, two rows each."""

    joints: NDArray[np.float64]
    pos: NDArray[np.float64]
    quat: NDArray[np.float64]
    velocity: NDArray[np.float64]
    turn: NDArray[np.float64]
    joint_vel: NDArray[np.float64]
    tool_pos: NDArray[np.float64]


def reference_joints(kinematics: DualArmKinematics, robot: RobotState) -> NDArray[np.float64]:
    """Joints (2, 6) that the present command stands for under the servos [rad]."""
    joints, _ = split_arms(robot.command)
    return kinematics.following.reference(joints, robot.joint_pos, robot.joint_vel)


class ToolMover:
    """Advances both commanded tool poses by one tick.

    Args:
        kinematics: Of the robot, with what its servos make of a command.
        lets_off: Whether a soft arm that presses on something lets off at once when it has to go
            the other way.
    """

    def __init__(self, kinematics: DualArmKinematics, lets_off: bool = False):
        self._kinematics = kinematics
        self._lets_off = lets_off
        soft = lets_off and kinematics.following.soft
        self._tick_s = 1.0 / kinematics.control_hz
        self._largest_step = SOFT_JOINT_RATE * self._tick_s if soft else None

    def action(
        self, robot: RobotState, goals: tuple[ToolGoal, ToolGoal], tempo: float = 1.0
    ) -> NDArray[np.float64]:
        """Joint action (14,) of the next tick; `tempo` scales the speed bounds."""
        joints = reference_joints(self._kinematics, robot)
        ahead = robot.joint_pos + robot.joint_vel * DIFFERENCE_S
        pos, quat = self._kinematics.forward(np.stack([joints, robot.joint_pos, ahead]))
        velocity = (pos[2] - pos[1]) / DIFFERENCE_S
        turn = rotvec_from_quat(quat_multiply(quat[2], quat_conjugate(quat[1]))) / DIFFERENCE_S
        for arm in self._pressing_away(pos, goals):
            joints, pos[0, arm], quat[0, arm] = joints.copy(), pos[1, arm], quat[1, arm]
            joints[arm] = robot.joint_pos[arm]
        start = _Motion(joints, pos[0], quat[0], velocity, turn, robot.joint_vel, pos[1])
        end = self._advance(start, goals, tempo)
        rate = np.zeros_like(joints)
        if self._kinematics.following.lags:
            # A command that leads an arm has to slow down before it does.
            later = self._advance(end, goals, tempo).joint_vel
            slows = np.linalg.norm(later, axis=1) < np.linalg.norm(end.joint_vel, axis=1)
            rate = np.where(slows[:, None], later, end.joint_vel)
        commanded = self._kinematics.following.command(end.joints, rate, robot.joint_pos)
        jaws = np.array([goal.jaw for goal in goals])
        return limit_step(join_arms(commanded, jaws), robot.command, self._kinematics.control_hz)

    def _pressing_away(
        self, pos: NDArray[np.float64], goals: tuple[ToolGoal, ToolGoal]
    ) -> list[int]:
        """Arms that press on something while they have to go the other way: they let off at once.

        A stiff arm lets off within a tick; a soft one would go on pressing until its command has
        come all the way back.
        """
        if not (self._lets_off and self._kinematics.following.soft):
            return []
        pressed = pos[0] - pos[1]
        return [
            arm
            for arm, goal in enumerate(goals)
            if goal.joints is None
            and np.linalg.norm(pressed[arm]) > PRESSING
            and pressed[arm] @ (goal.pos - pos[1, arm]) < 0
        ]

    def _advance(self, now: _Motion, goals: tuple[ToolGoal, ToolGoal], tempo: float) -> _Motion:
        """Both tools a tick later."""
        tick_s = self._tick_s
        velocity, turn = np.empty((2, 3)), np.empty((2, 3))
        next_pos, next_quat = np.empty((2, 3)), np.empty((2, 4))
        for arm, goal in enumerate(goals):
            velocity[arm] = approach_velocity(
                goal.pos - now.pos[arm],
                now.velocity[arm],
                goal.speed * tempo,
                MAX_ACCELERATION,
                tick_s,
            )
            next_pos[arm] = now.pos[arm] + velocity[arm] * tick_s
            if self._largest_step is not None:
                lead = next_pos[arm] - now.tool_pos[arm]
                long = float(np.linalg.norm(lead)) / LONGEST_LEAD
                next_pos[arm] = now.tool_pos[arm] + lead / max(1.0, long)
            gap = rotvec_from_quat(quat_multiply(goal.quat, quat_conjugate(now.quat[arm])))
            turn[arm] = approach_velocity(
                gap, now.turn[arm], MAX_TURN_RATE, MAX_TURN_ACCELERATION, tick_s
            )
            next_quat[arm] = quat_multiply(quat_from_rotvec(turn[arm] * tick_s), now.quat[arm])
        solved = self._kinematics.inverse(now.joints, next_pos, next_quat, 1, self._largest_step)
        for arm, goal in enumerate(goals):
            if goal.joints is not None:
                gap, rate = goal.joints - now.joints[arm], now.joint_vel[arm]
                step = approach_velocity(gap, rate, JOINT_RATE * tempo, JOINT_ACCELERATION, tick_s)
                solved[arm] = now.joints[arm] + step * tick_s
        rates = (solved - now.joints) / tick_s
        return _Motion(solved, next_pos, next_quat, velocity, turn, rates, now.tool_pos)
