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
    UNBOUNDED,
    Interval,
    mean_interval,
    n_to_separate,
    wilson,
)

if TYPE_CHECKING:
    from rich.table import Table

NOT_FIGURES = frozenset({"seed"})
SIGNED = ("extra_time_s", "tool_sparc")
"""Figures, by the start of their names, that may be negative although a unit ends the name."""
SHARES = ("progress", "_share")
"""Ends of the names of figures in [0, 1]."""
MEASURES = (
    "_per_min",
    "_s",
    "_s2",
    "_s3",
    "_ticks",
    "_steps",
    "_hz",
    "_tflop",
    "_load",
    "_rad",
    "_m",
    "_n",
    "calls",
    "refreshes",
    "corrections",
    "_chunks",
    "drops",
    "grasps",
    "seams",
)
"""Ends of the names of durations, counts, distances, rates and magnitudes: never negative."""
HEADLINE = ("success", "progress", "time_to_success_s")


@dataclass(frozen=True)
class Summary:
    """Figures of one condition.

    Attributes:
        n: Number of valid episodes.
        figures: Name -> estimate; a figure's own n is smaller where episodes lack it.
        rates: Names of the figures that are shares of episodes.
        invalid: Episodes that were run, say nothing and are in no figure.
    """

    n: int
    figures: Mapping[str, Interval]
    rates: frozenset[str]
    invalid: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON form: ``n``, ``invalid``, per figure value, low, high and n; null where unknown."""
        out: dict[str, Any] = {"n": self.n, "invalid": self.invalid}
        for name, figure in self.figures.items():
            out[name] = {
                "value": _json(figure.value),
                "low": _json(figure.low),
                "high": _json(figure.high),
                "n": figure.n,
            }
        return out


def figure_bounds(name: str) -> tuple[float, float]:
    """Smallest and largest possible value of a figure, from the end of its name."""
    if name.startswith(SIGNED):
        return UNBOUNDED
    if name.endswith(SHARES):
        return (0.0, 1.0)
    return (0.0, math.inf) if name.endswith(MEASURES) else UNBOUNDED


def summarise(
    episodes: Sequence[Mapping[str, Any]], confidence: float = CONFIDENCE, invalid: int = 0
) -> Summary:
    """Summarises episode rows, e.g. of `xr0_sim.metrics.episode.episode_metrics`.

    Booleans become rates with Wilson intervals, numbers means with t intervals inside
    `figure_bounds`; None and non-finite numbers are left out of their own figure only; text and
    seeds are no figures.

    Args:
        episodes: Rows of the valid episodes.
        confidence: Of the intervals.
        invalid: Number of invalid episodes beside them.
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
            figures[name] = mean_interval(known, confidence, _fitting_bounds(name, known))
    return Summary(len(episodes), figures, frozenset(rates), invalid)


def _fitting_bounds(name: str, values: Sequence[float]) -> tuple[float, float]:
    """`figure_bounds`, unless somebody's own figure of such a name has other ones."""
    low, high = figure_bounds(name)
    return (low, high) if all(low <= v <= high for v in values) else UNBOUNDED


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
        row = [label, episode_count(condition)]
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


def episode_count(condition: Summary) -> str:
    """For example ``20``, or ``18 + 2 invalid``."""
    return str(condition.n) + (f" + {condition.invalid} invalid" if condition.invalid else "")


def format_interval(figure: Interval, n: int, is_rate: bool) -> str:
    """For example ``85.0 % [64.0, 94.8]`` or ``6.41 [6.2, 6.61] (n=17)`` if n differs.

    Where n is too small for an interval: ``6.41 [n too small]``.
    """
    own_n = "" if figure.n == n else f" (n={figure.n})"
    if math.isnan(figure.value):
        return f"–{own_n}"
    if is_rate:
        value, low, high = (100 * x for x in (figure.value, figure.low, figure.high))
        return f"{value:.1f} % [{low:.1f}, {high:.1f}]{own_n}"
    if math.isnan(figure.low):
        return f"{figure.value:.3g} [n too small]{own_n}"
    return f"{figure.value:.3g} [{figure.low:.3g}, {figure.high:.3g}]{own_n}"


def _rate(condition: Summary, name: str) -> Interval:
    if not condition.n and name not in condition.figures:
        return wilson(0, 0)
    if name not in condition.rates:
        raise unknown_name("rate", name, condition.rates)
    return condition.figures[name]


def _json(number: float) -> float | None:
    return number if math.isfinite(number) else None
