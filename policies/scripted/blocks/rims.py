"""The walls of the trays: ways across them, and how deep a hand gets between them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.rules import STRICT_RIM_M
from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.robot.facts import JAW_STROKE
from policies.scripted.blocks.view import ArmView
from policies.scripted.motion import ToolGoal

RIM_CLEARANCE = 0.085
"""Tool height from which the fingers clear the wall of a tray [m]."""
RIM_GAP = 0.008
"""What a hand that trails its command keeps from a wall [m]; chosen."""
GRAZE = 0.003
"""The same of a hand on its way [m]; chosen."""
GENTLE, BRAKING = 0.06, 0.03
"""Tool speed at which a hand may meet a wall [m/s], and how far above it slows down [m]; chosen."""
HIGH, FAR = 0.20, 0.22
"""Tool height above which, and distance from a tray's middle beyond which, no hand meets a
wall [m]."""
PALM = (np.array([-0.121, -0.062, -0.017]), np.array([-0.071, 0.062, 0.017]))
"""Lower and upper corner of the palm in the tool's frame [m], as in ``assets/robot/arm.xml``."""
FINGER = (np.array([-0.067, 0.0, -0.0065]), np.array([0.006, 0.0135, 0.0065]))
"""The same of a finger that is shut, towards its own side."""


def _wall_tops() -> NDArray[np.float64]:
    """Points along the upper edges of a tray's walls about its centre on the table (n, 3) [m]."""
    along = np.linspace(-BIN_HALF_SIZE - 2 * WALL, BIN_HALF_SIZE + 2 * WALL, 20)
    across = np.full_like(along, BIN_HALF_SIZE + WALL)
    sides = [(along, across), (along, -across), (across, along), (-across, along)]
    edges = np.concatenate([np.stack(side, axis=1) for side in sides])
    return np.column_stack([edges, np.full(len(edges), STRICT_RIM_M)])


WALL_TOPS = _wall_tops()
HAND_REACH = 0.16
"""No point of a hand, with its gap, is farther than this from the tool [m]."""


def over_rims(view: ArmView, goal: ToolGoal) -> ToolGoal:
    """The goal, but above the wall of a tray as long as the way to it leads across one."""
    way = view.pos[:2] + np.linspace(0.0, 1.0, 12)[1:, None] * (goal.pos - view.pos)[:2]
    reach = BIN_HALF_SIZE + WALL
    inside = (np.abs(way[:, None] - view.state.bins) < reach).all(axis=2)
    here = (np.abs(view.pos[:2] - view.state.bins) < reach).all(axis=1)
    if (inside == here).all():
        return goal
    height = RIM_CLEARANCE
    if view.held != NO_BRICK:
        below = view.pos[2] - view.state.pos[view.held, 2] + view.hang(view.held)
        height += max(0.0, below)
    if view.pos[2] < height:
        up = np.array([*view.pos[:2], height + 0.02])
        return replace(goal, pos=up, quat=view.quat, speed=min(goal.speed, 0.30))
    over = np.array([*goal.pos[:2], max(goal.pos[2], height + 0.01)])
    return replace(goal, pos=over)


def off_walls(view: ArmView, goal: ToolGoal) -> ToolGoal:
    """The goal, but gently where the hand on its way would meet a wall from above."""
    if view.pos[2] > HIGH or np.abs(view.pos[:2] - view.state.bins).max(axis=1).min() > FAR:
        return goal
    widest = max(view.jaw, goal.jaw)
    lowest = lowest_between_rims(view.state, view.pos, view.quat, (view.jaw, widest), GRAZE)
    if view.pos[2] < lowest - GRAZE or goal.pos[2] >= lowest:
        return goal
    return replace(goal, speed=min(goal.speed, GENTLE)) if view.pos[2] < lowest + BRAKING else goal


def lowest_between_rims(
    state: BlockState,
    spot: NDArray[np.float64],
    quat: NDArray[np.float64],
    jaws: tuple[float, float],
    gap: float = RIM_GAP,
) -> float:
    """Tool height down to which neither palm nor fingers touch a wall, or -inf [m].

    Args:
        state: Where the trays are.
        spot: Where the tool goes down, world (2,) or more [m].
        quat: How it is turned.
        jaws: Openings between which the fingers move [fraction].
        gap: Least distance from a wall [m].
    """
    tops = np.concatenate([WALL_TOPS] * len(state.bins))
    tops[:, :2] += np.repeat(state.bins, len(WALL_TOPS), axis=0) - spot[:2]
    tops = tops[tops[:, 0] ** 2 + tops[:, 1] ** 2 < HAND_REACH**2]
    if not len(tops):
        return -np.inf
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.ascontiguousarray(quat))
    rotation = matrix.reshape(3, 3)
    points = tops @ rotation
    up = np.where(np.abs(rotation[2]) < 1e-9, 1e-9, rotation[2])
    boxes = _hand_boxes(*jaws, gap)
    # A tool at height h sees a point at ``point - h · up``: the heights at which it is inside.
    ends = (points[:, None, None] - boxes) / up
    first, last = ends.min(axis=1).max(axis=2), ends.max(axis=1).min(axis=2)
    return float(last[first < last].max(initial=-np.inf))


@lru_cache(maxsize=16)
def _hand_boxes(least: float, most: float, gap: float) -> NDArray[np.float64]:
    """Lower and upper corners (2, 3, 3) of palm, left and right finger, tool frame [m]."""
    near, far = (np.array([0.0, min(1.0, jaw) * JAW_STROKE, 0.0]) for jaw in (least, most))
    low, high = FINGER[0] + near, FINGER[1] + far
    mirror = np.array([1.0, -1.0, 1.0])
    other = np.sort([low * mirror, high * mirror], axis=0)
    lows, highs = np.stack([PALM[0], low, other[0]]), np.stack([PALM[1], high, other[1]])
    boxes = np.stack([lows - gap, highs + gap])
    boxes.setflags(write=False)
    return boxes
