"""What has become of the cloth: stretch of its edges, and whether the table carries it."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from envs.scene.stage import TABLE_HALF_SIZE
from envs.towel_folding.cloth import mesh_edges, rest_grid


@functools.lru_cache(maxsize=4)
def _rest_lengths(grid: int) -> NDArray[np.float64]:
    """Lengths of the mesh's edges in the flat towel, (k,) [m]."""
    ends = rest_grid(grid)[mesh_edges(grid)]
    return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)


def edge_strain(points: NDArray[np.float64], grid: int) -> NDArray[np.float64]:
    """Change of length of every mesh edge over its length in the flat towel, (k,) [1].

    Args:
        points: Mass points (grid², 3) [m].
        grid: Mass points along a side.
    """
    ends = points[mesh_edges(grid)]
    return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) / _rest_lengths(grid) - 1.0


def above_table(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which mass points (k, 3) [m] have the table top under or over them, (k,)."""
    over: NDArray[np.bool_] = np.abs(points[:, :2]) <= TABLE_HALF_SIZE
    return over[:, 0] & over[:, 1]


def points_below_table(points: NDArray[np.float64]) -> int:
    """How many mass points (k, 3) [m] have sunk into the table top, which ends at height zero."""
    return int((above_table(points) & (points[:, 2] < 0.0)).sum())


def lies_on_table(points: NDArray[np.float64]) -> bool:
    """Whether every mass point (k, 3) [m] is over the table top and none has sunk into it."""
    return bool(above_table(points).all() and (points[:, 2] >= 0.0).all())
