"""What a towel episode adds to the figures: strain, support, crossings, how the cloth is held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.scene.stage import TABLE_HALF_SIZE
from envs.towel_folding.cloth import RADIUS, SIDE, mesh_edges
from envs.towel_folding.condition import above_table, edge_strain
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.self_intersection import crossings
from experiments.benchmarks.physics.tool_error import tool_errors_mm
from xr0_sim.conventions import ARMS

CROSSINGS_EVERY = 6
"""Control ticks between two looks for crossings; they cost as much as the physics of a tick."""
AT_PAD_M = 0.025
"""Distance from a pad within which cloth counts as in a grasp: the length of an edge [m]."""
SQUASHED = 0.10
"""Compression beyond which real cloth has buckled, as the limit of the table [1]."""


def beyond_support(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which mass points (k, 3) [m] lie at the height of the table where there is none, (k,).

    A mesh spacing beyond the edge is left to the cloth's own stiffness.
    """
    outside = np.abs(points[:, :2]) - TABLE_HALF_SIZE > SIDE / 12
    return outside.any(axis=1) & (np.abs(points[:, 2]) < 2 * RADIUS)


def pad_distance(
    points: NDArray[np.float64],
    middles: NDArray[np.float64],
    axes: NDArray[np.float64],
    sizes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distance of points (k, 3) from the nearest of some boxes, 0 inside, (k,) [m].

    Args:
        points: World [m].
        middles: Of the boxes, (b, 3) [m].
        axes: Their rotations, (b, 3, 3).
        sizes: Their half extents, (b, 3) [m].
    """
    local = np.einsum("bkj,bji->bki", points - middles[:, None], axes)
    beyond = np.maximum(np.abs(local) - sizes[:, None], 0.0)
    nearest: NDArray[np.float64] = np.linalg.norm(beyond, axis=2).min(axis=0)
    return nearest


class TowelLog:
    """The mesh at the end of every tick.

    Args:
        env: The environment after its reset.
    """

    def __init__(self, env: TowelFoldingEnv):
        self._env = env
        self._edges = mesh_edges(env.cloth.grid)
        self._pads = [
            env.model.geom(f"{arm}/{finger}_pad").id for arm in ARMS for finger in ("left", "right")
        ]
        self._stretch = self._compression = self._free_compression = 0.0
        self._below = self._free_below = self._unsupported = 0.0
        self._squashed = self._squashed_ticks = self._squashed_at_pad = 0
        self._unsupported_ticks = self._crossed = self._looks = self._ticks = 0
        self._held: list[float] = []

    def substep(self) -> None:
        """Nothing: cloth is looked at once a tick."""

    def tick(self) -> None:
        """Takes in the control tick that has ended."""
        env = self._env
        points = env.points
        data, sizes = env.data, env.model.geom_size[self._pads]
        middles = data.geom_xpos[self._pads]
        axes = data.geom_xmat[self._pads].reshape(-1, 3, 3)
        at_pad = pad_distance(points, middles, axes, sizes) < AT_PAD_M
        # An edge is in a grasp if one of its ends is: its middle may lie between two pads.
        gripped = at_pad[self._edges[:, 0]] | at_pad[self._edges[:, 1]]
        self._read_strain(edge_strain(points, env.cloth.grid), gripped)
        depth = -points[:, 2]
        depth[~above_table(points)] = 0.0
        self._below = max(self._below, float(depth.max()))
        self._free_below = max(self._free_below, float(depth[~at_pad].max(initial=0.0)))
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

    def _read_strain(self, strain: NDArray[np.float64], gripped: NDArray[np.bool_]) -> None:
        self._stretch = max(self._stretch, float(strain.max()))
        self._compression = max(self._compression, -float(strain.min()))
        free = -float(strain[~gripped].min(initial=0.0))
        self._free_compression = max(self._free_compression, free)
        squashed = strain < -SQUASHED
        self._squashed += int(squashed.sum())
        self._squashed_at_pad += int((squashed & gripped).sum())
        self._squashed_ticks += bool(squashed.any())

    def figures(self) -> dict[str, Any]:
        """Worst of the episode, and whether it ends with the towel through itself."""
        env, ticks = self._env, max(1, self._ticks)
        at_pad = {"squashed_at_pad_share": self._squashed_at_pad / max(1, self._squashed)}
        return {
            "stretch_percent": 100.0 * self._stretch,
            "compression_percent": 100.0 * self._compression,
            "free_compression_percent": 100.0 * self._free_compression,
            "squashed_edges_share": self._squashed / (ticks * len(self._edges)),
            "squashed_ticks_share": self._squashed_ticks / ticks,
            **(at_pad if self._squashed else {}),
            "point_below_table_mm": 1e3 * self._below,
            "free_point_below_table_mm": 1e3 * self._free_below,
            "unsupported_points_share": self._unsupported,
            "unsupported_ticks_share": self._unsupported_ticks / ticks,
            "crossed_ticks_share": self._crossed / max(1, self._looks),
            "ends_crossed": float(crossings(env.points, env.cloth.grid) > 0),
            "carry_errors_mm": self._held,
        }
