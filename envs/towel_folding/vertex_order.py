"""Which mass point is which: a square towel may lie in eight ways, and directions are the table's.

A fold "away" moves the edge that lies near the operator. In a towel that starts flat that is always
the same row of mass points; out of a heap any edge may come to lie there, with either side up. Once
such a towel has been spread, its points are named anew, as if it had started flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import rest_grid
from envs.towel_folding.contacts import NOTHING


@dataclass(frozen=True)
class Naming:
    """One of the eight ways.

    Attributes:
        order: (grid²,) mass point by name, in the order of `cloth.rest_grid`.
    """

    order: NDArray[np.int64]

    @classmethod
    def plain(cls, grid: int) -> Naming:
        """Every point under its own name."""
        return cls(np.arange(grid * grid))

    @classmethod
    def seen_from_above(cls, points: NDArray[np.float64]) -> Naming:
        """The names that fit a flat towel (grid², 3) [m] best."""
        grid = round(len(points) ** 0.5)
        rest = rest_grid(grid)
        plain = np.arange(grid * grid).reshape(grid, grid)
        ways = [np.rot90(side, turns) for side in (plain, plain.T) for turns in range(4)]
        agreement = [float((rest * points[way.ravel(), :2]).sum()) for way in ways]
        return cls(ways[int(np.argmax(agreement))].ravel().copy())

    def name(self, point: int) -> int:
        """Name of a mass point; `NOTHING` stays what it is."""
        return NOTHING if point == NOTHING else int(np.flatnonzero(self.order == point)[0])
