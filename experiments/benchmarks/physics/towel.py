"""What a towel episode adds to the figures: strain, support, crossings, how the cloth is held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.scene.stage import TABLE_HALF_SIZE
from envs.towel_folding.cloth import RADIUS, SIDE, rest_grid, triangles
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.self_intersection import crossings
from experiments.benchmarks.physics.tool_error import tool_errors_mm

CROSSINGS_EVERY = 6
"""Control ticks between two looks for crossings; they cost as much as the physics of a tick."""


def mesh_edges(grid: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Edges of the towel's triangles (k, 2), and their lengths at rest (k,) [m]."""
    faces = triangles(grid)
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = np.unique(sides, axis=0)
    rest = rest_grid(grid)
    return edges, np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)


def beyond_support(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which mass points (k, 3) [m] lie at the height of the table where there is none, (k,).

    A mesh spacing beyond the edge is left to the cloth's own stiffness.
    """
    outside = np.abs(points[:, :2]) - TABLE_HALF_SIZE > SIDE / 12
    return outside.any(axis=1) & (np.abs(points[:, 2]) < 2 * RADIUS)


class TowelLog:
    """The mesh at the end of every tick.

    Args:
        env: The environment after its reset.
    """

    def __init__(self, env: TowelFoldingEnv):
        self._env = env
        self._edges, self._rest = mesh_edges(env.cloth.grid)
        self._stretch = self._compression = self._below = self._unsupported = 0.0
        self._unsupported_ticks = self._crossed = self._looks = self._ticks = 0
        self._held: list[float] = []

    def substep(self) -> None:
        """Nothing: cloth is looked at once a tick."""

    def tick(self) -> None:
        """Takes in the control tick that has ended."""
        env = self._env
        points = env.points
        first, second = points[self._edges[:, 0]], points[self._edges[:, 1]]
        strain = np.linalg.norm(first - second, axis=1) / self._rest - 1.0
        self._stretch = max(self._stretch, float(strain.max()))
        self._compression = max(self._compression, -float(strain.min()))
        over_table = (np.abs(points[:, :2]) < TABLE_HALF_SIZE).all(axis=1)
        self._below = max(self._below, -float(points[over_table, 2].min(initial=0.0)))
        unsupported = float(beyond_support(points).mean())
        self._unsupported = max(self._unsupported, unsupported)
        self._unsupported_ticks += unsupported > 0.0
        if self._ticks % CROSSINGS_EVERY == 0:
            self._looks += 1
            self._crossed += crossings(points, env.cloth.grid) > 0
        self._ticks += 1
        held = env.privileged().held.tolist()
        errors = tool_errors_mm(env)
        self._held += [e for e, point in zip(errors, held, strict=True) if point != NOTHING]

    def figures(self) -> dict[str, Any]:
        """Worst of the episode, and whether it ends with the towel through itself."""
        env = self._env
        return {
            "stretch_percent": 100.0 * self._stretch,
            "compression_percent": 100.0 * self._compression,
            "point_below_table_mm": 1e3 * self._below,
            "unsupported_points_share": self._unsupported,
            "unsupported_ticks_share": self._unsupported_ticks / max(1, self._ticks),
            "crossed_ticks_share": self._crossed / max(1, self._looks),
            "ends_crossed": float(crossings(env.points, env.cloth.grid) > 0),
            "carry_errors_mm": self._held,
        }
