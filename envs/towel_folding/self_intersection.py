"""Whether a towel passes through itself: edges of its mesh against triangles of its mesh."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import triangles


@functools.lru_cache(maxsize=4)
def _pairs(grid: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges (k, 2) and triangles (k, 3) that share no mass point, every pair once."""
    faces = triangles(grid)
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = np.unique(sides, axis=0)
    apart = (edges[:, None, :, None] != faces[None, :, None, :]).all(axis=(2, 3))
    edge, face = np.nonzero(apart)
    return edges[edge], faces[face]


def crossings(points: NDArray[np.float64], grid: int) -> int:
    """Number of pairs of an edge and a triangle of the towel (grid², 3) [m] that cross."""
    edges, faces = _pairs(grid)
    low, high = points.min(axis=0) - 1.0, points.max(axis=0) + 1.0
    scaled = (points - low) / (high - low).max()
    near = _boxes_meet(scaled, edges, faces)
    start, end = np.moveaxis(scaled[edges[near]], 1, 0)
    a, b, c = np.moveaxis(scaled[faces[near]], 1, 0)
    way, first, second = end - start, b - a, c - a
    normal = np.cross(first, second)
    slope = -(normal * way).sum(axis=1)
    parallel = np.abs(slope) < 1e-15
    slope = np.where(parallel, 1.0, slope)
    gap = start - a
    share = (gap * normal).sum(axis=1) / slope
    turn = np.cross(gap, way)
    u = (second * turn).sum(axis=1) / slope
    v = -(first * turn).sum(axis=1) / slope
    inside = (share > 0) & (share < 1) & (u > 0) & (v > 0) & (u + v < 1) & ~parallel
    return int(inside.sum())


def _boxes_meet(
    points: NDArray[np.float64], edges: NDArray[np.int64], faces: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs have overlapping bounding boxes."""
    ends, corners = points[edges], points[faces]
    apart = (ends.max(axis=1) < corners.min(axis=1)) | (ends.min(axis=1) > corners.max(axis=1))
    return ~apart.any(axis=1)
