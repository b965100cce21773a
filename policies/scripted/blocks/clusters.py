"""Groups of clutched bricks, how they stand, and their own stud grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bricks import HEIGHT, PITCH, Brick
from envs.block_dismantling.state import NO_BRICK, BlockState
from policies.scripted.grasping import half_height
from xr0_sim.rotations import quat_conjugate, quat_multiply, quat_rotate, rotvec_from_quat

UPRIGHT = 0.85
"""Cosine of the angle from which on a cluster leans: 32°. Chosen: hands at 20 mm of difference in
height, which is a layer, would stand above each other from there on."""
SEEN_GAP, SEEN_SHIFT, SEEN_TURN = 0.0025, 0.003, 0.07
"""A brick that stands on another looks clutched up to this gap, this way beside the studs [m] and
this turn [rad]; chosen: less than a pixel of the policy's views, or about one."""
HALF_TURN = np.array([0.0, 0.0, 1.0, 0.0])
"""Half a turn about a brick's y axis."""


def clusters(state: BlockState) -> list[list[int]]:
    """Groups of clutched bricks, each sorted, in order of their lowest index."""
    n = len(state.pos)
    near = state.joined | state.joined.T
    label = np.full(n, -1)
    groups: list[list[int]] = []
    for start in range(n):
        if label[start] >= 0:
            continue
        todo, group = [start], []
        label[start] = len(groups)
        while todo:
            i = todo.pop()
            group.append(i)
            for j in np.flatnonzero(near[i] & (label < 0)).tolist():
                label[j] = len(groups)
                todo.append(j)
        groups.append(sorted(group))
    return groups


def as_seen(state: BlockState) -> BlockState:
    """The scene as a camera shows it: who stands on another as if clutched counts as clutched.

    A push can open a clutch and leave the bricks on each other. No picture tells, so what an expert
    does there must not depend on it, or nobody who looks can learn it. Bricks in trays and in hands
    are taken as they are.
    """
    free = state.in_bin == NO_BRICK
    free[state.gripped[state.gripped != NO_BRICK]] = False
    joined = state.joined.copy()
    for i in np.flatnonzero(free).tolist():
        inverse = quat_conjugate(state.quat[i])
        for j in np.flatnonzero(free).tolist():
            if j == i or joined[i, j] or joined[j, i]:
                continue
            offset = quat_rotate(inverse, state.pos[j] - state.pos[i])
            if abs(offset[2] - HEIGHT) < SEEN_GAP:
                turn = quat_multiply(inverse, state.quat[j])
                joined[i, j] = _on_studs(offset, turn, state.half_size[i], state.half_size[j])
    return replace(state, joined=joined)


def _on_studs(
    offset: NDArray[np.float64],
    turn: NDArray[np.float64],
    below: NDArray[np.float64],
    above: NDArray[np.float64],
) -> bool:
    """Whether a brick at an offset and a turn from another stands on its studs.

    Args:
        offset: (3,) of its centre, in the frame of the brick below [m].
        turn: (4,) quaternion in that frame.
        below: (3,) half extents of the brick below [m].
        above: (3,) its own.
    """
    x, y, z = rotvec_from_quat(turn)
    quarters = round(z / (np.pi / 2))
    if np.hypot(x, y) > SEEN_TURN or abs(z - quarters * np.pi / 2) > SEEN_TURN:
        return False
    own = above[:2] if quarters % 2 == 0 else above[1::-1]
    # Studs of both lie on one grid if their corners do.
    apart = (offset[:2] - own + below[:2]) / PITCH
    beside = np.abs(apart - np.rint(apart)) * PITCH
    overlap = own + below[:2] - np.abs(offset[:2])
    return bool((beside < SEEN_SHIFT).all() and (overlap > PITCH / 2).all())


def hang(state: BlockState, brick: int, group: list[int]) -> float:
    """How far below a brick's middle the lowest point of its cluster is [m]."""
    return max(
        float(state.pos[brick, 2] - state.pos[i, 2])
        + half_height(state.quat[i], state.half_size[i])
        for i in group
    )


def grid_view(state: BlockState, group: list[int]) -> list[Brick]:
    """A cluster on its own stud grid, whatever its pose on the table."""
    anchor = group[0]
    inverse = quat_conjugate(state.quat[anchor])
    centres = quat_rotate(inverse, state.pos[group] - state.pos[anchor])
    sizes = np.rint(2 * state.half_size[group, :2] / PITCH)
    cells = np.rint(centres[:, :2] / PITCH - sizes / 2).astype(int).tolist()
    layers = np.rint(centres[:, 2] / HEIGHT).astype(int).tolist()
    return [
        Brick("red", tuple(size), tuple(cell), layer)
        for size, cell, layer in zip(sizes.astype(int).tolist(), cells, layers, strict=True)
    ]


def studs_up(state: BlockState, brick: int) -> NDArray[np.float64]:
    """Direction in which a brick's studs point, world (3,)."""
    return quat_rotate(state.quat[brick], np.array([0.0, 0.0, 1.0]))


def leans(state: BlockState, brick: int) -> bool:
    """Whether a brick stands neither upright nor on its head."""
    return bool(abs(studs_up(state, brick)[2]) < UPRIGHT)


def turned_over(state: BlockState) -> BlockState:
    """The scene as if every brick had its studs below: what stands on its head stands upright."""
    return replace(state, quat=quat_multiply(state.quat, HALF_TURN[None, :]), joined=state.joined.T)


def pull_direction(state: BlockState, brick: int) -> NDArray[np.float64]:
    """Unit vector along which a brick at an end of its cluster comes off, world (3,)."""
    up = studs_up(state, brick)
    return -up if state.joined[brick].any() else up
