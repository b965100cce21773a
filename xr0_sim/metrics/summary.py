"""From episode rows to a table: every figure with n and its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from xr0_sim.errors import unknown_name
from xr0_sim.metrics.statistics import (
    CONFIDENCE,
    Interval,
    mean_interval,
    n_to_separate,
    wilson,
)

if TYPE_CHECKING:
    from rich.table import Table

NOT_FIGURES = frozenset({"seed"})
HEADLINE = ("success", "progress", "time_to_success_s")


@dataclass(frozen=True)
class Summary:
    """Figures of one condition.

    Attributes:
        n: Number of episodes.
        figures: Name -> estimate; a figure's own n is smaller where episodes lack it.
        rates: Names of the figures that are shares of episodes.
    """

    n: int
    figures: Mapping[str, Interval]
    rates: frozenset[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON form: ``n`` and, per figure, value, low, high and n; null where unknown."""
        out: dict[str, Any] = {"n": self.n}
        for name, figure in self.figures.items():
            out[name] = {
                "value": _json(figure.value),
                "low": _json(figure.low),
                "high": _json(figure.high),
                "n": figure.n,
            }
        return out


def summarise(episodes: Sequence[Mapping[str, Any]], confidence: float = CONFIDENCE) -> Summary:
    """Summarises episode rows, e.g. of `xr0_sim.metrics.episode.episode_metrics`.

    Booleans become rates with Wilson intervals, numbers means with t intervals; None and
    non-finite numbers are left out of their own figure only; text and seeds are no figures.
    """
    figures: dict[str, Interval] = {}
    rates = set()
    for name in dict.fromkeys(name for row in episodes for name in row):
        values = [row[name] for row in episodes if row.get(name) is not None]
        if name in NOT_FIGURES or not values:
            continue
        if all(isinstance(v, bool | np.bool_) for v in values):
            figures[name] = wilson(int(sum(values)), len(values), confidence)
            rates.add(name)
        elif all(isinstance(v, Real) for v in values):
            known = [float(v) for v in values if math.isfinite(v)]
            figures[name] = mean_interval(known, confidence)
    return Summary(len(episodes), figures, frozenset(rates))


def separation_notes(conditions: Mapping[str, Summary], rate: str = "success") -> list[str]:
    """One line per pair: ranked if their intervals are apart, else the n it would take."""
    notes = []
    for (name_a, condition_a), (name_b, condition_b) in combinations(conditions.items(), 2):
        a, b = _rate(condition_a, rate), _rate(condition_b, rate)
        if not a.overlaps(b):
            above, below = (name_a, name_b) if a.value > b.value else (name_b, name_a)
            notes.append(f"{above} > {below} in {rate}: intervals are apart")
            continue
        need = None if 0 in (a.n, b.n) else n_to_separate(a.value, b.value)
        wanted = (
            "no n would separate equal rates" if need is None else f"n = {need} would be needed"
        )
        notes.append(f"{name_a} ~ {name_b} in {rate}: intervals overlap, {wanted}")
    return notes


def markdown_table(conditions: Mapping[str, Summary], names: Iterable[str] = HEADLINE) -> str:
    """Markdown table, one row per condition, ``value [low, high]`` per figure."""
    header, rows = _table(conditions, names)
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] * len(header)) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def rich_table(conditions: Mapping[str, Summary], names: Iterable[str] = HEADLINE) -> Table:
    """The same table for a terminal."""
    from rich.table import Table

    header, rows = _table(conditions, names)
    table = Table()
    for column in header:
        table.add_column(column, justify="left" if column == "condition" else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _table(
    conditions: Mapping[str, Summary], names: Iterable[str]
) -> tuple[list[str], list[list[str]]]:
    known = {name for condition in conditions.values() for name in condition.figures}
    shown = [name for name in names if name in known or name not in HEADLINE]
    for name in shown:
        if name not in known:
            raise unknown_name("figure", name, known)
    rows = []
    for label, condition in conditions.items():
        row = [label, str(condition.n)]
        for name in shown:
            figure = condition.figures.get(name)
            text = (
                "–"
                if figure is None
                else format_interval(figure, condition.n, name in condition.rates)
            )
            row.append(text)
        rows.append(row)
    return ["condition", "n", *shown], rows


def format_interval(figure: Interval, n: int, is_rate: bool) -> str:
    """For example ``85.0 % [64.0, 94.8]`` or ``6.41 [6.2, 6.61] (n=17)`` if n differs."""
    own_n = "" if figure.n == n else f" (n={figure.n})"
    if math.isnan(figure.value):
        return f"–{own_n}"
    if is_rate:
        value, low, high = (100 * x for x in (figure.value, figure.low, figure.high))
        return f"{value:.1f} % [{low:.1f}, {high:.1f}]{own_n}"
    if math.isnan(figure.low):
        return f"{figure.value:.3g}{own_n}"
    return f"{figure.value:.3g} [{figure.low:.3g}, {figure.high:.3g}]{own_n}"


def _rate(condition: Summary, name: str) -> Interval:
    if name not in condition.rates:
        raise unknown_name("rate", name, condition.rates)
    return condition.figures[name]


def _json(number: float) -> float | None:
    return number if math.isfinite(number) else None
