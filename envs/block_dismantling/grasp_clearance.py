"""Where fingers fit: the grasp geometry of tilted parallel jaws around one brick of an assembly.

A hand comes from its own side of the table (left: +y, right: -y), tilted down by `TILT`, with the
jaw closing along the brick's x axis. Seen along x, the hand is a strip behind the grasp point::

        z        palm ___/          the strip of fingers runs in two lanes, one beside each x face;
        |         ___/ /            the palm spans both lanes and everything between them
        |     ___/ ___/
        |   _/ ___/  fingers
        |  /__/ <- grasp point
        +--------------------- y (towards the arm)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from envs.block_dismantling.bricks import PITCH, Brick
from envs.robot.hand_geometry import (
    FINGER_HALF_WIDTH,
    HANDS_APART,
    MAX_GRASP_WIDTH,
    PALM_DISTANCE,
    PALM_HALF_HEIGHT,
    PALM_LENGTH,
    SIDES,
    TILT,
    TIP_REACH,
    grasp_offset_y,
)

LANE_DEPTH = 0.030
"""Room an open finger needs beside an x face [m]."""


def hands_clear(taken: Brick, taker: str, held: Brick, holder: str) -> bool:
    """Whether two hands can grip two bricks at once without meeting."""
    gap = SIDES[holder] * (_grasp_y(held, holder) - _grasp_y(taken, taker))
    return gap >= HANDS_APART


def _grasp_y(brick: Brick, arm: str) -> float:
    return float(brick.centre[1] + SIDES[arm] * grasp_offset_y(brick.half_size[1]))


def _overlaps(strip: np.ndarray, box_min: np.ndarray, box_max: np.ndarray) -> bool:
    """Separating-axis test of a rotated rectangle (4, 2) against an axis-aligned one."""
    if (strip.max(axis=0) <= box_min).any() or (strip.min(axis=0) >= box_max).any():
        return False
    corners = np.array(
        [[box_min[0], box_min[1]], [box_min[0], box_max[1]], box_max, [box_max[0], box_min[1]]]
    )
    for edge in (strip[1] - strip[0], strip[3] - strip[0]):
        a, b = strip @ edge, corners @ edge
        if a.max() <= b.min() or a.min() >= b.max():
            return False
    return True


def _strip(point: np.ndarray, side: float, start: float, end: float, half: float) -> np.ndarray:
    """Rectangle of half-width `half` from `start` to `end` behind `point` (y, z)."""
    back = np.array([side * math.cos(TILT), math.sin(TILT)])
    normal = np.array([-back[1], back[0]])
    a, b = point + back * start, point + back * end
    return np.array([a - normal * half, b - normal * half, b + normal * half, a + normal * half])


def is_graspable(target: Brick, others: Sequence[Brick], arm: str) -> bool:
    """Whether `arm` can grip `target` with `others` standing around it."""
    half = target.half_size
    if 2 * half[0] > MAX_GRASP_WIDTH:
        return False
    side = SIDES[arm]
    centre = target.centre
    point = np.array([centre[1] + side * grasp_offset_y(half[1]), centre[2]])
    fingers = _strip(point, side, -TIP_REACH, 0.16, FINGER_HALF_WIDTH)
    palm = _strip(point, side, PALM_DISTANCE, PALM_DISTANCE + PALM_LENGTH, PALM_HALF_HEIGHT)
    for other in others:
        o_half, o_centre = other.half_size, other.centre
        low, high = (o_centre - o_half)[1:], (o_centre + o_half)[1:]
        if _overlaps(palm, low, high):
            return False
        gap = np.abs(o_centre[0] - centre[0])
        beside = gap + o_half[0] > half[0] + 0.001 and gap - o_half[0] < half[0] + LANE_DEPTH
        if beside and _overlaps(fingers, low, high):
            return False
    return True


def covered(target: Brick, others: Sequence[Brick]) -> bool:
    """Whether a brick stands on `target`'s studs."""
    return any(o.layer == target.layer + 1 and target.shared_studs(o) for o in others)


def dismantling_order(bricks: Sequence[Brick]) -> list[int] | None:
    """An order in which two arms can take the bricks apart, or None.

    A brick may go when nothing stands on it and an arm can grip it while the other can grip some
    brick of a lower layer; a brick with nothing below needs no holder.
    """
    remaining = list(range(len(bricks)))
    order: list[int] = []
    while remaining:
        for i in sorted(remaining, key=lambda k: -bricks[k].layer):
            rest = [bricks[k] for k in remaining if k != i]
            if not covered(bricks[i], rest) and _removable(bricks[i], rest):
                order.append(i)
                remaining.remove(i)
                break
        else:
            return None
    return order


def _removable(target: Brick, rest: Sequence[Brick]) -> bool:
    """Some hand assignment works: one arm takes `target` while the other holds a lower brick."""
    below = [b for b in rest if b.layer < target.layer]
    for taker, holder in (("left", "right"), ("right", "left")):
        if not is_graspable(target, rest, taker):
            continue
        if not below or any(
            hands_clear(target, taker, b, holder)
            and is_graspable(b, [o for o in (*rest, target) if o is not b], holder)
            for b in below
        ):
            return True
    return False


def footprint_centre(bricks: Sequence[Brick]) -> np.ndarray:
    """Middle of the assembly's bounding rectangle in the stud frame [m], (2,)."""
    low = np.min([b.cell for b in bricks], axis=0)
    high = np.max([np.add(b.cell, b.size) for b in bricks], axis=0)
    return (low + high) / 2 * PITCH
