"""Groups of clutched bricks, how they stand, and their own stud grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bricks import HEIGHT, PITCH, Brick
from envs.block_dismantling.state import BlockState
from policies.scripted.grasping import half_height
from xr0_sim.rotations import quat_conjugate, quat_multiply, quat_rotate

UPRIGHT = 0.85
"""Cosine of the angle from which on a cluster leans: 32°. Chosen: hands at 20 mm of difference in
height, which is a layer, would stand above each other from there on."""
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
