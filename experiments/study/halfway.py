"""Where success falls below half along a quantity, such as the speed of a moving scene.

Rates at the levels are made to fall (pooled adjacent violators, weighted by n) and joined by
straight lines; the interval is of a bootstrap over seeds, which are drawn whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.study.levels import AMOUNT
from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from pandas import DataFrame

HALF = 0.5
RESAMPLES = 2000
QUANTILES = (0.025, 0.975)
_LEVEL = re.compile(rf"(?P<value>{AMOUNT})\s*(?P<unit>.*)")


@dataclass(frozen=True)
class Halfway:
    """The place in one context of the other factors.

    Attributes:
        factor: The quantity.
        within: Levels of the other factors.
        value: Where success falls below half; infinite if it does not, minus infinity if it lies
            below at the first level already.
        low: Lower end of the 95 % interval, likewise.
        high: Upper end.
        largest: Last level.
        unit: Unit of the levels.
        n: Seeds.
    """

    factor: str
    within: Mapping[str, str]
    value: float
    low: float
    high: float
    largest: float
    unit: str
    n: int

    def __str__(self) -> str:
        """One sentence."""
        where = "".join(f", {name}={level}" for name, level in self.within.items())
        if math.isinf(self.value):
            side = "nowhere" if self.value > 0 else "everywhere"
            told = f"{side} below half (up to {self.largest:g}{self._unit})"
        else:
            told = f"below half from {self.value:.3g}{self._unit} on"
        ends = f"[{self._end(self.low)}, {self._end(self.high)}]"
        return f"Success by {self.factor}{where}, made to fall: {told} {ends} over {self.n} seeds."

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    def _end(self, value: float) -> str:
        if math.isinf(value):
            return f"beyond {self.largest:g}" if value > 0 else "before the first"
        return f"{value:.3g}"


def halfway(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    factor: str,
    rng: np.random.Generator,
) -> list[Halfway]:
    """Where success falls below half, in every context of the other factors.

    Args:
        frame: Rows of a study.
        factors: Levels by factor.
        factor: Factor whose levels are quantities, such as ``5 cm/s``.
        rng: Source of the bootstrap.

    Raises:
        ConfigError: There is no such factor, or a level is no quantity of the others' unit.
    """
    if factor not in factors:
        raise unknown_name("factor", factor, factors)
    values, unit = _quantities(factor, factors[factor])
    others = [name for name in factors if name != factor]
    known = frame[frame["valid"].astype(bool)].dropna(subset=["success"])
    if known.empty:
        raise ConfigError("halfway: expected valid rows, got none; see why they are invalid")
    groups = known.groupby(others, sort=False, observed=True) if others else [((), known)]
    found = []
    for where, rows in groups:
        scenes = rows.assign(
            success=rows["success"].astype(float), level=rows[factor].astype(str)
        ).pivot_table(index="seed", columns="level", values="success")
        levels = sorted((lv for lv in factors[factor] if lv in scenes), key=values.__getitem__)
        places = np.array([values[level] for level in levels])
        table = scenes[levels].to_numpy()
        found.append(
            Halfway(
                factor,
                dict(zip(others, where, strict=True)),
                _place(places, table),
                *_ends(places, table, rng),
                float(places[-1]),
                unit,
                len(table),
            )
        )
    return found


def _quantities(factor: str, levels: Sequence[str]) -> tuple[dict[str, float], str]:
    read = {level: _LEVEL.fullmatch(str(level).strip()) for level in levels}
    units = {found["unit"] for found in read.values() if found is not None}
    if len(levels) < 2 or None in read.values() or len(units) != 1:
        raise ConfigError(
            f"factor {factor}: expected two quantities or more of one unit, such as 5 cm/s, got "
            f"{', '.join(map(str, levels))}"
        )
    parts = {level: found["value"].split("+") for level, found in read.items() if found}
    return {level: sum(map(float, values)) for level, values in parts.items()}, units.pop()


def _ends(
    places: NDArray[np.float64], table: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float]:
    drawn = rng.integers(0, len(table), size=(RESAMPLES, len(table)))
    again = [_place(places, table[rows]) for rows in drawn]
    low, high = np.quantile(again, QUANTILES, method="nearest")
    return float(low), float(high)


def _place(places: NDArray[np.float64], table: NDArray[np.float64]) -> float:
    """Where the falling rates cross half."""
    counts = np.isfinite(table).sum(axis=0)
    there = counts > 0
    rates = falling(np.nansum(table, axis=0)[there] / counts[there], counts[there])
    places = places[there]
    below = np.flatnonzero(rates < HALF)
    if not len(below):
        return math.inf
    first = int(below[0])
    if first == 0:
        return -math.inf
    high, low = rates[first - 1], rates[first]
    share = (high - HALF) / (high - low)
    return float(places[first - 1] + share * (places[first] - places[first - 1]))


def falling(rates: NDArray[np.float64], weights: NDArray[np.integer]) -> NDArray[np.float64]:
    """Nearest rates that do not rise, in the weighted mean square: pooled adjacent violators."""
    pools: list[list[float]] = []
    for rate, weight in zip(rates, weights, strict=True):
        pools.append([float(rate), float(weight), 1.0])
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            value, weight_, count = pools.pop()
            before = pools[-1]
            total = before[1] + weight_
            before[0] = (before[0] * before[1] + value * weight_) / total
            before[1], before[2] = total, before[2] + count
    return np.repeat([p[0] for p in pools], [int(p[2]) for p in pools])
