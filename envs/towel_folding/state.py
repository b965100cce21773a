"""Ground truth of a towel scene: what the scripted expert and state-based RL see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.folds import DIRECTIONS, Fold

MAX_FOLDS = 2
LIFT = 0.06
"""Height from which on what a hand holds counts as lifted [m]."""
LONG_S = 1.0
"""Time after which nothing moves on its own any more [s]."""
TAIL = 2 + 2 + 2 * MAX_FOLDS + 1 + 2 + 1 + 2 + 3 + 2


@dataclass(frozen=True)
class TowelState:
    """The towel and how the hands stand to it; arms left, right.

    Attributes:
        points: (grid², 3) mass points, world [m], in the order of `cloth.rest_grid`, see `naming`.
        held: (2,) mass point an arm pinches, or -1.
        touched: (2,) bool, an arm touches the towel.
        folds: Folds asked for; empty for a flat towel.
        done: Number of folds that are made.
        failures: (2,) grasps that missed or slipped so far, per arm.
        obstructed: Something stands on the towel.
        peak: (2,) greatest height an arm has lifted what it pinches to, 0 without [m].
        spread: The towel started flat or has been laid flat, so that folds can be made.
        lifts: (2,) how often an arm has lifted the towel by `LIFT` or more.
        untouched: Ticks since a hand last touched the towel, those of `LONG_S` at most.
        to_place: It has to end on the marked spot, `props.SPOT`.
    """

    points: NDArray[np.float64]
    held: NDArray[np.int64]
    touched: NDArray[np.bool_]
    folds: tuple[Fold, ...]
    done: int
    failures: NDArray[np.int64]
    obstructed: bool
    peak: NDArray[np.float64]
    lifts: NDArray[np.int64]
    spread: bool = True
    untouched: int = 0
    to_place: bool = False

    @property
    def grid(self) -> int:
        """Mass points along a side."""
        return round(len(self.points) ** 0.5)

    def to_vector(self) -> NDArray[np.float32]:
        """Flat form of fixed length for a grid; inverse of `from_vector`."""
        asked = np.zeros(2 * MAX_FOLDS)
        for k, fold in enumerate(self.folds):
            asked[2 * k + fold.axis] = fold.sign
        tail = [self.held, self.touched, asked, [self.done], self.failures, [self.obstructed]]
        tail += [self.peak, self.lifts, [self.spread, self.untouched, self.to_place]]
        return np.concatenate([self.points.ravel(), *tail]).astype(np.float32)

    @staticmethod
    def vector_dim(grid: int) -> int:
        """Length of `to_vector` for a grid."""
        return 3 * grid**2 + TAIL

    @classmethod
    def from_vector(cls, vector: NDArray[np.floating]) -> TowelState:
        """Reads `to_vector` back, up to float32 rounding."""
        values: NDArray[np.float64] = np.asarray(vector, dtype=np.float64)
        points, tail = values[:-TAIL].reshape(-1, 3), values[-TAIL:]
        asked = tail[4 : 4 + 2 * MAX_FOLDS].reshape(MAX_FOLDS, 2)
        names = {value: name for name, value in DIRECTIONS.items()}
        folds = [
            Fold(names[axis, float(np.sign(row[axis]))])
            for row in asked
            for axis in (0, 1)
            if abs(row[axis]) > 0.5
        ]
        counts = np.rint(tail).astype(np.int64)
        return cls(
            points=points,
            held=counts[0:2],
            touched=tail[2:4] > 0.5,
            folds=tuple(folds),
            done=int(counts[8]),
            failures=counts[9:11],
            obstructed=bool(tail[11] > 0.5),
            peak=tail[12:14],
            lifts=counts[14:16],
            spread=bool(tail[16] > 0.5),
            untouched=int(counts[17]),
            to_place=bool(tail[18] > 0.5),
        )
