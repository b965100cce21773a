"""How well the corners of a crumpled towel are to be had, and where they belong in the flat one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import SIDE, rest_grid
from envs.towel_folding.folds import fit_plane
from envs.towel_folding.state import TowelState

COVER_REACH, COVER_HEIGHT = (0.040, 0.030), (-0.002, 0.003)
"""Distance from a corner [m] and height above it [m] from which on other cloth begins to lie on it,
and at which it does."""
CURL = (0.8, 0.6)
"""Share of their rest distance at which the neighbours of a corner begin to be near, because it is
curled up, and at which they are."""
COVERED = 3.0
"""Cost of a corner from which on it is not to be had."""
IN_PLACE, NEARLY_FLAT = 0.025, 0.70
"""Distance from its flat place at which a mass point lies in it [m], and the share of them from
which on a towel is flat but for a corner; chosen, one corner is up to a quarter."""
MISPLACED, NEAR_WEIGHT = 0.06, 0.3
"""Distance from its flat place from which on a corner is brought there; a narrower strip that is
folded over is laid anew with its edge [m]. By how much the distance to a hand outweighs it. Both
chosen."""


def corner_cost(state: TowelState, corner: int) -> float:
    """How ill a corner is to be had, from 0 on; `COVERED` and more is not at all."""
    return covered(state, corner) + curled(state, corner)


def covered(state: TowelState, corner: int) -> float:
    """`COVERED` for a corner under other cloth, 1 for one that lies on it, 0 for a free one.

    Between them it has no steps: a heap that creeps would make hands turn round.
    """
    points, rest = state.points, rest_grid(state.grid)
    far = np.linalg.norm(rest - rest[corner], axis=1) > 2.5 * SIDE / (state.grid - 1)
    gaps = np.linalg.norm(points[far, :2] - points[corner, :2], axis=1)
    over = _share(points[far, 2] - points[corner, 2], *COVER_HEIGHT)
    return float((_share(gaps, *COVER_REACH) * (1.0 + (COVERED - 1.0) * over)).max())


def curled(state: TowelState, corner: int) -> float:
    """2 for a corner whose cloth is not flat, 0 for one whose is."""
    grid, (row, column) = state.grid, divmod(corner, state.grid)
    inward = (1 if row == 0 else -1, 1 if column == 0 else -1)
    near = [(row + 2 * inward[0]) * grid + column, row * grid + column + 2 * inward[1]]
    gaps = np.linalg.norm(state.points[near, :2] - state.points[corner, :2], axis=1)
    return float(2.0 * _share(gaps / (2.0 * SIDE / (grid - 1)), *CURL).max())


def _share(values: NDArray[np.float64], begin: float, end: float) -> NDArray[np.float64]:
    """How far values have come from `begin` to `end`, within 0 and 1."""
    return np.clip((values - begin) / (end - begin), 0.0, 1.0)


def ends(grid: int) -> tuple[int, int, int, int]:
    """Mass points at the corners."""
    return 0, grid - 1, grid * (grid - 1), grid * grid - 1


def flat_places(state: TowelState) -> NDArray[np.float64]:
    """Where the mass points belong on the table, (grid², 2) [m], as most of them lie.

    A corner that is folded over does not count, a towel may lie on either side.
    """
    points, rest = state.points[:, :2], rest_grid(state.grid)
    best, least = rest, np.inf
    for places in (rest, rest * (1.0, -1.0)):
        weights = np.ones(len(rest))
        for _ in range(3):
            rotation, shift = fit_plane(places, points, weights)
            ideal = places @ rotation.T + shift
            off = np.linalg.norm(points - ideal, axis=1)
            weights = 1.0 / np.maximum(off, IN_PLACE) ** 2
        if float(np.median(off)) < least:
            best, least = ideal, float(np.median(off))
    return best


def nearly_flat(state: TowelState, places: NDArray[np.float64]) -> bool:
    """Whether most of a towel lies at its `flat_places`."""
    off = np.linalg.norm(state.points[:, :2] - places, axis=1)
    return float((off < IN_PLACE).mean()) >= NEARLY_FLAT


def folded_corner(
    state: TowelState, places: NDArray[np.float64], tools: NDArray[np.float64] | None
) -> int | None:
    """The corner of a nearly flat towel to bring to its place; None if there is none to be had.

    Args:
        state: The towel.
        places: Its `flat_places`.
        tools: Tool points (2, 3) [m]; of two corners the one that a hand is at is taken.
    """
    off = np.linalg.norm(state.points[:, :2] - places, axis=1)
    best, most = None, -np.inf
    for corner in ends(state.grid):
        if off[corner] < MISPLACED or covered(state, corner) >= COVERED:
            continue
        value = float(off[corner])
        if tools is not None:
            gaps = np.linalg.norm(tools[:, :2] - state.points[corner, :2], axis=1)
            value -= NEAR_WEIGHT * float(gaps.min())
        if value > most:
            best, most = corner, value
    return best
