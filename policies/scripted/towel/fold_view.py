"""The fold under way as geometry on the table: what moves, where it lands, how far it is off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import rest_grid
from envs.towel_folding.folds import Fold, corners, fold_frame, heading, layout, mirror_index
from envs.towel_folding.state import TowelState
from policies.scripted.towel.spread import SIDES

STACK_HEIGHT = 0.008
"""How much higher a pinched point is let go for every layer below it [m]."""


@dataclass(frozen=True)
class FoldView:
    """The present fold as geometry on the table.

    Attributes:
        fold: The fold.
        pairs: Per arm, the point it moves and the point that one lands on; None for an arm that
            is not needed. Away and toward, both hands move a corner each. To a side, where two
            hands would be in each other's way, the nearer one moves the middle of the edge.
        rotation: (2, 2) from the layout to the table.
        shift: (2,) [m].
        direction: (2,) unit vector in which the edge moves.
        places: (grid², 2) layout before the fold.
        partner: (grid²,) mirror partner of every mass point.
        folds_before: Number of folds that are made.
    """

    fold: Fold
    pairs: tuple[tuple[int, int] | None, tuple[int, int] | None]
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]
    direction: NDArray[np.float64]
    places: NDArray[np.float64]
    partner: NDArray[np.int64]
    folds_before: int

    def pair(self, arm: int) -> tuple[int, int]:
        """Point that an arm has to move and the one it lands on, for an arm that is needed."""
        pair = self.pairs[arm]
        assert pair is not None, f"arm {arm} has nothing to move"
        return pair

    @classmethod
    def of(cls, state: TowelState) -> FoldView | None:
        """The fold that comes next; None if nothing is left to fold."""
        if state.done >= len(state.folds):
            return None
        fold = state.folds[state.done]
        rotation, shift = fold_frame(state.points, state.folds, state.done)
        return cls(
            fold=fold,
            pairs=_moving_points(state, fold),
            rotation=rotation,
            shift=shift,
            direction=heading(rotation, fold),
            places=layout(state.grid, state.folds[: state.done]),
            partner=mirror_index(state.grid, fold),
            folds_before=state.done,
        )

    @property
    def stack(self) -> float:
        """How much higher than a single layer the towel lies [m]."""
        return STACK_HEIGHT * (2**self.folds_before - 1)

    def flat_place(self, point: int) -> NDArray[np.float64]:
        """Where a mass point lies before the fold, (2,) [m]."""
        return self.rotation @ self.places[point] + self.shift

    def to_go(self, state: TowelState, point: int) -> float:
        """How far a mass point still has to travel to its partner [m]."""
        gap = state.points[self.partner[point], :2] - state.points[point, :2]
        return float(gap @ self.direction)

    def beyond_middle(self, state: TowelState, arm: int) -> float:
        """How far beyond the middle of the table what an arm has to move lies [m]."""
        return -SIDES[arm] * float(state.points[self.pair(arm)[0], 1])

    def mirror_gap(self, state: TowelState) -> float:
        """Mean distance of mirror partners across the table [m]."""
        gaps = state.points[self.partner, :2] - state.points[:, :2]
        return float(np.linalg.norm(gaps, axis=1).mean())

    def aside(self, state: TowelState, point: int) -> float:
        """How far a mass point is from its partner across the direction of the fold [m]."""
        gap = state.points[self.partner[point], :2] - state.points[point, :2]
        return abs(float(gap @ np.array([-self.direction[1], self.direction[0]])))


def _moving_points(
    state: TowelState, fold: Fold
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    grid = state.grid
    if fold.axis == 0:
        first, second = corners(grid, fold)
        return (int(first[0]), int(first[1])), (int(second[0]), int(second[1]))
    places = layout(grid, state.folds[: state.done])
    edge = np.arange(grid) * grid + (grid - 1 if fold.sign > 0 else 0)
    ranges = places[edge, 0]
    middle = 0.5 * (ranges.min() + ranges.max())
    near = edge[np.abs(ranges - middle) < 1e-6]
    if state.done:  # of the layers that lie there, the one that was folded over
        before = state.folds[state.done - 1]
        near = near[rest_grid(grid)[near, before.axis] * before.sign > 0]
    point = int(near[0])
    pair = (point, int(mirror_index(grid, fold)[point]))
    return (pair, None) if fold.sign > 0 else (None, pair)
