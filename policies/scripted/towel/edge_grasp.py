"""Where a hand pinches an edge: across it, beside a corner, a finger on either side."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import RADIUS, SIDE
from envs.towel_folding.state import TowelState
from policies.scripted.grasping import Grasp, hand_quat
from policies.scripted.towel.spread import SIDES

TILT = math.radians(80.0)
TIP_BELOW_TOOL = 0.006 * (math.sin(TILT) + math.cos(TILT))
"""How far the pads reach below the tool point of a hand tilted by `TILT` [m]."""
TOP_PRESS = 0.010
"""Depth of the finger tips below the top of cloth that lies on other cloth [m]."""
TURNS = (0.0, 0.0, 0.6, -0.6)
"""Turn of the hand at a corner of a heap, by number of failed grasps [rad]."""
TABLE_TIP = 0.0
"""Height finger tips are sent to where only the table lies under the cloth: it stops them [m]."""
ON_TABLE = 2.0 * RADIUS
"""Height of a mass point up to which nothing but the table lies under it [m]."""
INSET = 0.020
"""Distance of the grasp from the corner, along the edge [m].

On layered cloth a hand takes the mass point next to it: between two of them a pad may pierce the
edge as it closes, and the cloth hangs on the finger when the hand leaves. Firm cloth slips out of
the pads at a mass point, and the second fold of soft cloth fails more often.
"""
OVERLAP = 0.007
"""How far inside the edge the middle of the open jaw comes down [m]."""
OVERLAP_AT_POINTS = 0.0105
"""The same where an edge is pinched at its mass points, chosen amid the 1 to 16 mm at which a hand
folds that goes on once it closes (log, 2026-11-28)."""


def edge_grasp(
    state: TowelState, arm: int, corner: int, axis: int, heap: bool, at_points: bool
) -> Grasp:
    """Hand across the edge beside a corner, fingers on the table on either side of it.

    Args:
        state: The towel.
        arm: Whose hand.
        corner: Mass point on the edge, at its end or in its middle.
        axis: Material axis that the edge lies across.
        heap: Whether the towel is a heap; a hand that failed at one turns, see `TURNS`.
        at_points: Whether an edge is pinched at its mass points, not between them.
    """
    grid = state.grid
    cell = divmod(corner, grid)
    steps = max(1, round(INSET / (SIDE / (grid - 1))))

    def beside(along: int, inward: int) -> NDArray[np.float64]:
        """Mass point some steps away from the corner, along the edge and into the towel."""
        place = list(cell)
        place[1 - axis] += along * steps
        place[axis] += inward * steps if cell[axis] == 0 else -inward * steps
        return state.points[place[0] * grid + place[1]]

    here, inner = state.points[corner], beside(0, 2)
    if cell[1 - axis] in (0, grid - 1):
        far = beside(2 if cell[1 - axis] == 0 else -2, 0)
        share = 0.5 if at_points else INSET * (grid - 1) / (2 * steps * SIDE)
    else:
        far, share = beside(1, 0), 0.0
    edge = _unit(far[:2] - here[:2])
    inward = np.array([-edge[1], edge[0]])
    if inward @ (inner[:2] - here[:2]) < 0:
        inward = -inward
    on_edge = here + (far - here) * share
    tip = TABLE_TIP
    if heap:
        tries = int(state.failures[arm]) % len(TURNS)
        cos, sin = math.cos(TURNS[tries]), math.sin(TURNS[tries])
        inward = np.array([[cos, -sin], [sin, cos]]) @ inward
        if on_edge[2] > ON_TABLE and tries == 0:
            tip = max(float(on_edge[2]) + RADIUS - TOP_PRESS, TABLE_TIP)
    overlap = OVERLAP_AT_POINTS if at_points and not heap else OVERLAP
    point = on_edge[:2] + overlap * inward
    return Grasp(np.array([*point, tip + TIP_BELOW_TOOL]), across(arm, inward), 0.0)


def across(arm: int, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orientation of a hand that closes along the horizontal unit vector `direction` (2,).

    Hands lean back to where they come from: their side, or the far edge of the table.
    """
    forward = np.array([-direction[1], direction[0]])
    along_table = abs(forward[1]) > abs(forward[0])
    if forward[1] * SIDES[arm] > 0 if along_table else forward[0] > 0:
        forward = -forward
    return hand_quat(forward, TILT)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
