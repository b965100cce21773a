"""Which conditions of a study are compared with which: pairs of equal seed, factor by factor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from experiments.study.effects_outcomes import Outcome

Levels = tuple[str, ...]
"""One level per factor: a condition."""


@dataclass(frozen=True)
class Comparison:
    """One level against the reference in every context that has both, or two factors at once.

    Attributes:
        kind: ``main`` over all contexts, ``simple`` in one, ``interaction`` of two factors.
        factors: The factor, or the two.
        levels: Its level, or theirs.
        references: The level it is compared with, or theirs.
        contexts: Conditions of each context, first the level's own: 2 or 4 of them.
        within: Levels of the other factors; empty over all contexts.
    """

    kind: str
    factors: Levels
    levels: Levels
    references: Levels
    contexts: tuple[tuple[int, ...], ...]
    within: Mapping[str, str]


class Pairing:
    """Which rows of a frame are pairs: its conditions, seeds and trainings.

    Args:
        frame: One row an episode: a text column per factor, ``seed`` and ``valid``.
        factors: Factor -> its levels in order.
        reference: Factor -> level to compare with; the first where none is named.
        cluster: Column that tells trainings of one recipe apart; no factor then.

    Raises:
        ConfigError: A factor, level or column is missing, or a seed stands twice in a condition.
    """

    def __init__(
        self,
        frame: DataFrame,
        factors: Mapping[str, Sequence[str]],
        reference: Mapping[str, str] | None = None,
        cluster: str | None = None,
    ):
        for column in (*factors, "seed", "valid", *([cluster] if cluster else [])):
            if column not in frame:
                raise unknown_name("column", column, [str(name) for name in frame])
        self.frame = frame
        self.cluster = cluster
        self.factors = {n: tuple(map(str, lv)) for n, lv in factors.items() if n != cluster}
        self.reference = {name: levels[0] for name, levels in self.factors.items() if levels}
        for name, level in (reference or {}).items():
            if name == cluster:
                continue
            if name not in self.factors:
                raise unknown_name("factor", name, self.factors)
            if level not in self.factors[name]:
                raise unknown_name(f"level of {name}", level, self.factors[name])
            self.reference[name] = level
        told = [frame[name].astype(str).to_numpy() for name in self.factors]
        rows = list(zip(*told, strict=True)) if told else [()] * len(frame)
        there = set(rows)
        order = [{level: k for k, level in enumerate(lv)} for lv in self.factors.values()]
        for row in there:
            for name, level, known in zip(self.factors, row, order, strict=True):
                if level not in known:
                    raise unknown_name(f"level of {name}", level, known)
        self.conditions: list[Levels] = sorted(
            there, key=lambda row: [known[lv] for lv, known in zip(row, order, strict=True)]
        )
        place = {condition: k for k, condition in enumerate(self.conditions)}
        self.condition_of_row = np.array([place[row] for row in rows], dtype=int)
        self.seeds, self._seed_of_row = np.unique(frame["seed"].to_numpy(), return_inverse=True)
        trainings = frame[cluster].astype(str).to_numpy() if cluster else np.zeros(len(frame), int)
        self.trainings, self._training_of_row = np.unique(trainings, return_inverse=True)
        self._order = np.lexsort((self._seed_of_row, self._training_of_row))
        self._values: dict[Outcome, NDArray[np.float64]] = {}
        cells = list(
            zip(self._training_of_row, self._seed_of_row, self.condition_of_row, strict=True)
        )
        if len(set(cells)) != len(cells):
            raise ConfigError(
                "study: expected one row per seed and condition, got several; name every factor "
                "that was varied, and the column of the trainings as cluster"
            )

    def values_of(self, outcome: Outcome, condition: int) -> NDArray[np.float64]:
        """Known values of one condition, by training and seed."""
        if outcome not in self._values:
            self._values[outcome] = outcome.values(self.frame).to_numpy()
        rows = self._order[self.condition_of_row[self._order] == condition]
        found = self._values[outcome][rows]
        return found[~np.isnan(found)]

    def cube(self, values: Series) -> NDArray[np.float64]:
        """(G, S, C) values per training, seed and condition; NaN where there is none."""
        shape = len(self.trainings), len(self.seeds), len(self.conditions)
        out = np.full(shape, math.nan)
        out[self._training_of_row, self._seed_of_row, self.condition_of_row] = values.to_numpy()
        return out

    @cached_property
    def varied(self) -> list[str]:
        """Factors of which the frame has two levels or more."""
        return [
            name
            for k, name in enumerate(self.factors)
            if len({condition[k] for condition in self.conditions}) > 1
        ]

    def label(self, condition: Levels) -> str:
        """For example ``strategy=sync, latency=80ms``; only what is varied."""
        shown = [
            f"{name}={level}"
            for name, level in zip(self.factors, condition, strict=True)
            if name in self.varied
        ]
        return ", ".join(shown) or "all episodes"

    def short(self, condition: Levels) -> str:
        """For example ``sync · 80ms``."""
        pairs = zip(self.factors, condition, strict=True)
        return " · ".join(lv for name, lv in pairs if name in self.varied) or "all episodes"

    def rows_of(self, condition: int) -> DataFrame:
        """Rows of one condition."""
        return self.frame[self.condition_of_row == condition]

    def comparisons(
        self, kinds: Sequence[str] = ("main", "simple", "interaction")
    ) -> list[Comparison]:
        """Every level against its reference, within contexts, and every two factors together."""
        found = [c for name in self.varied for c in self._of_factor(name, kinds)]
        if "interaction" in kinds:
            for first, second in combinations(self.varied, 2):
                found += self._of_two(first, second)
        return found

    def unpaired(self) -> list[str]:
        """Levels that no condition shares all other levels with: never varied on their own."""
        out = []
        for name in self.varied:
            for level in self._others(name):
                if not self._contexts({name: (level, self.reference[name])}):
                    out.append(f"{name}={level}")
        return out

    def _others(self, name: str) -> list[str]:
        return [level for level in self.factors[name] if level != self.reference[name]]

    def _of_factor(self, name: str, kinds: Sequence[str]) -> list[Comparison]:
        found = []
        for level in self._others(name):
            pair = (level, self.reference[name])
            contexts = self._contexts({name: pair})
            if contexts and "main" in kinds:
                all_of_them = tuple(contexts.values())
                found.append(Comparison("main", (name,), pair[:1], pair[1:], all_of_them, {}))
            if len(contexts) > 1 and "simple" in kinds:
                others = [other for other in self.factors if other != name]
                for context, cells in contexts.items():
                    within = {
                        other: lv
                        for other, lv in zip(others, context, strict=True)
                        if other in self.varied
                    }
                    found.append(
                        Comparison("simple", (name,), pair[:1], pair[1:], (cells,), within)
                    )
        return found

    def _of_two(self, first: str, second: str) -> list[Comparison]:
        found = []
        for a, b in product(self._others(first), self._others(second)):
            ra, rb = self.reference[first], self.reference[second]
            contexts = self._contexts({first: (a, ra), second: (b, rb)})
            if contexts:
                cells = tuple(contexts.values())
                found.append(
                    Comparison("interaction", (first, second), (a, b), (ra, rb), cells, {})
                )
        return found

    def _contexts(self, pairs: Mapping[str, tuple[str, str]]) -> dict[Levels, tuple[int, ...]]:
        """Levels of the other factors -> the conditions to compare, where all of them exist."""
        names = list(self.factors)
        place = {condition: k for k, condition in enumerate(self.conditions)}
        out: dict[Levels, tuple[int, ...]] = {}
        for condition in self.conditions:
            told = dict(zip(names, condition, strict=True))
            if any(told[name] != pair[0] for name, pair in pairs.items()):
                continue
            cells = [
                place.get(tuple((told | dict(zip(pairs, choice, strict=True))).values()))
                for choice in product(*pairs.values())
            ]
            if None not in cells:
                context = tuple(told[name] for name in names if name not in pairs)
                out[context] = tuple(cell for cell in cells if cell is not None)
        return out


def differences(cube: NDArray[np.float64], comparison: Comparison) -> NDArray[np.float64]:
    """(G, S, B) paired difference, or difference of differences, per context."""
    signs = np.array([1.0, -1.0] if len(comparison.factors) == 1 else [1.0, -1.0, -1.0, 1.0])
    with np.errstate(invalid="ignore"):  # of two that never came neither is later
        parts = [(cube[..., list(cells)] * signs).sum(axis=-1) for cells in comparison.contexts]
    return np.stack(parts, axis=-1)
