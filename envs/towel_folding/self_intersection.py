"""Whether a towel passes through itself: edges of its mesh against triangles of its mesh."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import mesh_edges, triangles


@functools.lru_cache(maxsize=4)
def _mesh(grid: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Edges (e, 2), triangles (t, 3), and which of them share no mass point (e, t)."""
    faces, edges = triangles(grid), mesh_edges(grid)
    apart = (edges[:, None, :, None] != faces[None, :, None, :]).all(axis=(2, 3))
    return edges, faces, apart


def crossings(points: NDArray[np.float64], grid: int) -> int:
    """Number of pairs of an edge and a triangle of the towel (grid², 3) [m] that cross."""
    return len(_crossing(points, grid)[0])


def crossing_depth(points: NDArray[np.float64], grid: int) -> float:
    """How far the towel (grid², 3) [m] reaches through itself [m].

    That is the greatest distance from a triangle of the nearer end of an edge that crosses it; 0
    where nothing crosses.
    """
    start, end, a, b, c = _crossing(points, grid)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    ends = np.abs([((point - a) * normal).sum(axis=1) for point in (start, end)])
    return float(ends.min(axis=0).max(initial=0.0))


def _crossing(points: NDArray[np.float64], grid: int) -> tuple[NDArray[np.float64], ...]:
    """Ends of the edges and corners of the triangles that cross, five times (k, 3) [m]."""
    edges, faces, apart = _mesh(grid)
    low, high = points.min(axis=0) - 1.0, points.max(axis=0) + 1.0
    scaled = (points - low) / (high - low).max()
    edge, face = np.nonzero(apart & _boxes_meet(scaled[edges], scaled[faces]))
    start, end = np.moveaxis(scaled[edges[edge]], 1, 0)
    a, b, c = np.moveaxis(scaled[faces[face]], 1, 0)
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
    ends, corners = points[edges[edge[inside]]], points[faces[face[inside]]]
    return (*np.moveaxis(ends, 1, 0), *np.moveaxis(corners, 1, 0))


def _boxes_meet(ends: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which edges (e, 2, 3) and triangles (t, 3, 3) have overlapping bounding boxes, (e, t)."""
    low, high = ends.min(axis=1), ends.max(axis=1)
    below, above = corners.min(axis=1), corners.max(axis=1)
    meet = np.ones((len(ends), len(corners)), dtype=bool)
    for axis in (2, 0, 1):
        meet &= high[:, None, axis] >= below[None, :, axis]
        meet &= low[:, None, axis] <= above[None, :, axis]
    return meet
