"""Clusters that lie in a tray: which hand lifts them out, and by which brick.

Two hands do not fit into a tray, and one arm does not reach the other's. So the arm of that tray
takes a brick of the cluster, carries all of it over the rim and sets it down where both hands can
take it apart.
"""

from __future__ import annotations

import numpy as np

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.state import NO_BRICK, BlockState
from policies.scripted.blocks.clusters import hang
from policies.scripted.grasping import half_height

RAISED = 0.010
"""Height of a cluster's lowest point above what may bear it from which on a single hand that holds
it sets it down before anything else is done with it [m]. Chosen."""

BEARING_REACH = 0.07
"""Horizontal distance of middles within which one brick may stand on another [m]: two half
diagonals of 2x4 bricks."""


def boxed(state: BlockState, group: list[int]) -> int:
    """Tray over which some brick of a cluster is, walls included; or -1."""
    reach = np.abs(state.pos[group, None, :2] - state.bins).max(axis=2)
    nearest = reach.min(axis=0)
    tray = int(nearest.argmin())
    return tray if nearest[tray] < BIN_HALF_SIZE + 2 * WALL else NO_BRICK


def bring_out(state: BlockState, group: list[int]) -> tuple[int, int] | None:
    """Arm that carries a cluster to the free table and the brick it does it by; None if none need.

    A cluster that one hand alone holds is carried, or lowered, until it stands on the table.
    """
    holders = [arm for arm in range(2) if state.gripped[arm] in group]
    if len(holders) == 2:
        return None
    tray = boxed(state, group)
    if holders:
        arm = holders[0]
        brick = int(state.gripped[arm])
        floor = float(state.pos[brick, 2]) - hang(state, brick, group)
        raised = floor - _bearing(state, group, floor) > RAISED
        return (arm, brick) if raised or tray != NO_BRICK else None
    if tray == NO_BRICK:
        return None
    from_walls = BIN_HALF_SIZE - np.abs(state.pos[group, :2] - state.bins[tray]).max(axis=1)
    order = np.lexsort((from_walls, state.pos[group, 2].round(2)))
    return tray, group[int(order[-1])]


def _bearing(state: BlockState, group: list[int], floor: float) -> float:
    """Height of the table, or of the highest brick that a cluster may stand on."""
    others = [i for i in range(len(state.pos)) if i not in group]
    gaps = np.linalg.norm(state.pos[others, None, :2] - state.pos[group, :2], axis=2)
    near = gaps.min(axis=1, initial=1.0) < BEARING_REACH
    tops = [state.pos[i, 2] + half_height(state.quat[i], state.half_size[i]) for i in others]
    return max([0.0, *(t for t, n in zip(tops, near, strict=True) if n and t < floor + RAISED)])
