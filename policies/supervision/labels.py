"""What grounding labels of all tasks share: scales, and what a hand is about to do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.scripted.motion import ToolGoal
from xr0_sim.rotations import quat_conjugate, quat_multiply, quat_rotate, rotvec_from_quat
from xr0_sim.types import RobotState

GOAL_SCALE = 0.3
"""World positions are divided by this [m]."""
NEAR_SCALE = 0.1
"""Positions relative to a tool are divided by this and squashed by tanh [m]."""
BASE, WRISTS = 0, (1, 2)
"""Places of the cameras in `xr0_sim.conventions.CAMERAS`."""


def hand_lifts(arm: str, wrist: int, thing: str) -> list[tuple[str, int, str]]:
    """What the visual tokens of the thing a hand deals with, and of its goal, are asked for."""
    seen_from_hand = (f"{thing} from tool", "goal from tool", "goal turn")
    lifts = [(f"{arm} {thing}", wrist, f"{arm} {name}") for name in seen_from_hand]
    return [*lifts, (f"{arm} goal point", BASE, f"{arm} goal")]


def hand_regressions(arm: str) -> list[tuple[str, int]]:
    """Names and widths of `hand_intentions`."""
    widths = {"goal": 3, "goal from tool": 3, "goal jaw axis": 2, "goal turn": 3, "jaw": 1}
    return [(f"{arm} {name}", width) for name, width in widths.items()]


def hand_intentions(arm: str, index: int, robot: RobotState, goal: ToolGoal) -> dict[str, object]:
    """Named values of one hand's next goal, seen from the table and from the tool."""
    turn = quat_multiply(quat_conjugate(robot.tool_quat[index]), goal.quat)
    return {
        f"{arm} goal": goal.pos / GOAL_SCALE,
        f"{arm} goal from tool": from_tool(robot, index, goal.pos),
        f"{arm} goal jaw axis": quat_rotate(goal.quat, np.array([0.0, 1.0, 0.0]))[:2],
        f"{arm} goal turn": rotvec_from_quat(turn),
        f"{arm} jaw": goal.jaw,
    }


def from_tool(robot: RobotState, index: int, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """A world point (3,) in a tool's frame, squashed by `NEAR_SCALE`."""
    offset = quat_rotate(quat_conjugate(robot.tool_quat[index]), point - robot.tool_pos[index])
    return np.tanh(offset / NEAR_SCALE)
