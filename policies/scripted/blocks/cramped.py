"""Grasps where walls and bricks leave little room: judged by where palm and fingers would be."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mujoco
import numpy as np

from envs.robot.hand_geometry import MAX_GRASP_WIDTH, TILT, grasp_offset_y
from policies.scripted.blocks.clusters import leans
from policies.scripted.blocks.rims import GRAZE, lowest_between_rims
from policies.scripted.blocks.view import FINGER_DEPTH, ArmView
from policies.scripted.grasping import (
    BIN_TILT,
    FINGER_ROOM,
    NARROW_MARGINS,
    Grasp,
    hand_quat,
    horizontal_axes,
    natural_heading,
)
from xr0_sim.rotations import quat_conjugate, quat_rotate

TOP_PAD = 0.010
"""How far below the upper end of a brick a pad still holds it [m]."""
PAD_ROOM = 0.006
"""Distance of the middle of a finger that is shut from other bricks, half its depth [m]."""
REGRIP_COST = 0.7
"""Angle that a grasp is worth by which a cluster can be taken apart at once [rad]; chosen."""
SHORTAGE_COST, OFFSET_COST, NARROW_COST, WIDE_COST = 200.0, 8.0, 5.0, 12.0
"""Angle that a metre of missing room, of distance from the brick's middle, of opening given up and
of grip width above `EASY_WIDTH` is worth [rad/m]; chosen."""
EASY_WIDTH = 0.04
"""Grip width that costs nothing [m]."""


def shortage(view: ArmView, brick: int, grasp: Grasp) -> float:
    """How much room a hand lacks there, to the walls below it and to bricks beside it [m]."""
    jaws = grasp.closed_jaw, grasp.open_jaw
    lowest = lowest_between_rims(view.state, grasp.pos, grasp.quat, jaws, GRAZE)
    return max(0.0, lowest - float(grasp.pos[2])) + _too_near(view, brick, grasp)


def cramped_grasp(view: ArmView, brick: int) -> Grasp:
    """Grasp of a loose brick, or of one by which its cluster is lifted: the one with most room.

    Among those with room it is the one that turns the hand least and grips near the middle.
    """
    best: tuple[float, Grasp] | None = None
    for grasp, cost in _grasps(view, brick):
        if best is not None and cost >= best[0]:
            continue
        total = cost + SHORTAGE_COST * shortage(view, brick, grasp)
        if best is None or total < best[0]:
            best = (total, grasp)
    return view.stacked(brick) if best is None else best[1]


def _grasps(view: ArmView, brick: int) -> Iterator[tuple[Grasp, float]]:
    """Grasps across the level axes of a brick, each with what it costs apart from room [rad]."""
    state = view.state
    pos, half = state.pos[brick], state.half_size[brick]
    joined = view.clutched(brick)
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.ascontiguousarray(state.quat[brick]))
    rotation = matrix.reshape(3, 3)
    natural = natural_heading(view.arm, pos)
    vertical, level = horizontal_axes(rotation)
    upwards = rotation[:, vertical] * np.sign(rotation[2, vertical])
    lifts = (0.0,) if joined else (0.0, max(0.0, float(half[vertical]) - TOP_PAD))
    for jaw, along in (level, level[::-1]):
        width = 2 * float(half[jaw])
        if width > MAX_GRASP_WIDTH:
            continue
        heading = np.array([-rotation[1, jaw], rotation[0, jaw]])
        heading /= np.linalg.norm(heading)
        heading *= 1.0 if heading @ natural >= 0 else -1.0
        turn = math.acos(float(np.clip(heading @ natural, -1.0, 1.0)))
        turn += WIDE_COST * max(0.0, width - EASY_WIDTH)
        # By such a grasp the other hand finds room beside this one.
        handy = leans(state, brick) or jaw == (1 if vertical == 0 else 0)
        reach = grasp_offset_y(float(half[along]))
        for shift in (-reach,) if joined else (0.0, -reach, reach):
            for lift in dict.fromkeys(lifts):
                point = pos + shift * np.array([*heading, 0.0]) + lift * upwards
                cost = turn + (0.0 if joined else OFFSET_COST * (abs(shift) + lift))
                cost += REGRIP_COST if joined and not handy else 0.0
                for tilt in (TILT, BIN_TILT):
                    quat = hand_quat(heading, tilt)
                    for margin in NARROW_MARGINS:
                        narrow = NARROW_COST * (NARROW_MARGINS[0] - margin)
                        yield Grasp(point, quat, width, margin), cost + narrow


def _too_near(view: ArmView, brick: int, grasp: Grasp) -> float:
    """By how much the fingers, open or shut, lack their room to other bricks [m]."""
    state = view.state
    others = [i for i in range(len(state.pos)) if i != brick]
    side = quat_rotate(grasp.quat, np.array([0.0, 1.0, 0.0]))
    deepest = 0.0
    for margin, room in ((grasp.margin, FINGER_ROOM), (0.0, PAD_ROOM)):
        reach = (grasp.width + margin + FINGER_DEPTH) / 2
        for finger in (grasp.pos + reach * side, grasp.pos - reach * side):
            seen = quat_rotate(quat_conjugate(state.quat[others]), finger - state.pos[others])
            out = np.abs(seen) - state.half_size[others]
            gaps = np.linalg.norm(np.maximum(out, 0.0), axis=1) + np.minimum(out.max(axis=1), 0.0)
            deepest = max(deepest, room - float(gaps.min(initial=1.0)))
    return deepest
