"""Clusters that lie in a tray: which hand lifts them out, and by which brick.

Two hands do not fit into a tray, and one arm does not reach the other's. So the arm of that tray
takes a brick of the cluster, carries all of it over the rim and sets it down where both hands can
take it apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.robot.hand_geometry import MAX_GRASP_WIDTH
from policies.scripted.blocks.clusters import hang, leans
from policies.scripted.blocks.rims import GRAZE, HAND_REACH, lowest_between_rims
from policies.scripted.grasping import NARROW_MARGINS, half_height, leaning_grasp

RAISED = 0.010
"""Height of a cluster's lowest point above what may bear it from which on a single hand that holds
it sets it down before anything else is done with it [m]. Chosen."""

BEARING_REACH = 0.07
"""Horizontal distance of middles within which one brick may stand on another [m]: two half
diagonals of 2x4 bricks."""


def boxed(state: BlockState, group: list[int]) -> int:
    """Tray that leaves two hands no room at a cluster, or -1.

    Some brick of it is over the tray, walls included; or it leans so near to a wall that no two
    hands come down beside it.
    """
    reach = np.abs(state.pos[group, None, :2] - state.bins).max(axis=2)
    nearest = reach.min(axis=0)
    tray = int(nearest.argmin())
    if nearest[tray] < BIN_HALF_SIZE + 2 * WALL:
        return tray
    beside = nearest[tray] < BIN_HALF_SIZE + HAND_REACH and leans(state, group[0])
    return tray if beside and not _two_fit(state, group) else NO_BRICK


def _two_fit(state: BlockState, group: list[int]) -> bool:
    """Whether the walls leave each hand room at some brick of a leaning cluster, not the same."""
    fits = np.array([[_fits(state, arm, brick) for brick in group] for arm in range(2)])
    return bool((fits[0][:, None] & fits[1] & ~np.eye(len(group), dtype=bool)).any())


def _fits(state: BlockState, arm: int, brick: int) -> bool:
    grasp = leaning_grasp(arm, state.pos[brick], state.quat[brick], state.half_size[brick])
    if grasp.width > MAX_GRASP_WIDTH:
        return False
    grasp = replace(grasp, margin=NARROW_MARGINS[-1])
    jaws = grasp.closed_jaw, grasp.open_jaw
    lowest = lowest_between_rims(state, grasp.pos, grasp.quat, jaws, GRAZE)
    return lowest < float(grasp.pos[2]) + RAISED


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
