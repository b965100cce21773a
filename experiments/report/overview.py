"""One line per level of a factor, as a comparison of methods is read.

Two tables. *Success*: successes of valid episodes at every latency, a line per context of the other
factors, with L_max. *Figures*: averages over the contexts that all levels share, so that a level
which is left out somewhere is not compared with others' easier conditions. A seed is one number
there, its mean over those contexts, and the interval is Student's over seeds; reactions are pooled,
one that did not come is slower than all others.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.report.study_table import heading
from experiments.study.effects_outcomes import Outcome, study_outcomes
from experiments.study.latency_limit import LatencyLimit
from experiments.study.mean_drop import FACTOR as EVENT
from experiments.study.mean_drop import UNDISTURBED
from xr0_sim.atomic import write_bytes
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.metrics.statistics import mean_interval

if TYPE_CHECKING:
    from pandas import DataFrame, Series

FIGURES = (
    "success",
    "time_to_success_s",
    "seam_position_mean_rad",
    "tool_jerk_m_s3",
    "loops",
    "stale_share",
    "expected_reaction_s",
    "model_calls",
    "tflop_per_s",
    "device_load",
)
"""Averaged figures, where the study has them; throughputs stand after the time."""
SLOW = 0.95
"""Quantile of the reactions that stands beside their median."""


@dataclass(frozen=True)
class TextTable:
    """A header and lines of text."""

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a Markdown table."""
        rows = [self.header, ("---",) * len(self.header), *self.lines]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def csv(self) -> str:
        """The same cells, parted by commas."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.header, *self.lines])
        return out.getvalue()


@dataclass(frozen=True)
class Overview:
    """What a factor's levels did; print it, or save it.

    Attributes:
        success: Successes across latencies.
        figures: Averages over the shared contexts.
        shared: How many contexts those are.
        seeds: How many seeds are behind them.
        trainings: How many trainings a seed is averaged over; 0 without a factor of trainings.
    """

    success: TextTable
    figures: TextTable
    shared: int
    seeds: int
    trainings: int = 0

    @property
    def note(self) -> str:
        """What the second table averages over."""
        told = f"Over {self.shared} contexts that all levels share, {self.seeds} seeds"
        if self.trainings:
            told += f", these {self.trainings} trainings (intervals say nothing about others)"
        return f"{told}:"

    def markdown(self) -> str:
        """Both tables."""
        return f"{self.success.markdown()}\n\n{self.note}\n\n{self.figures.markdown()}"

    def __str__(self) -> str:
        return self.markdown()

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def save(self, path: Path | str) -> Path:
        """Writes both as ``.md``, or as ``.csv`` parted by an empty line."""
        path = Path(path)
        forms = {
            ".md": lambda: self.markdown() + "\n",
            ".csv": lambda: f"{self.success.csv()}\n{self.figures.csv()}",
        }
        if path.suffix not in forms:
            raise ConfigError(f"overview: expected a name ending in .md or .csv, got {path}")
        write_bytes(path, forms[path.suffix]().encode())
        return path


def overview(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    by: str,
    *,
    latencies: Mapping[str, Mapping[str, float]],
    limits: Sequence[LatencyLimit] = (),
    limit_s: float | None = None,
    cluster: str | None = None,
) -> Overview:
    """Both tables.

    Args:
        frame: Rows of a study.
        factors: Levels by factor.
        by: Factor whose levels are the lines.
        latencies: Factors of latencies -> level -> its mean [s].
        limits: L_max of the contexts.
        limit_s: Time limit of all episodes [s]; None for the longest valid one.
        cluster: Factor of trainings, which is averaged over: intervals hold for these trainings.

    Raises:
        ConfigError: There is no such factor, it is that of trainings or latencies, or there are no
            valid rows.
    """
    if by not in factors:
        raise unknown_name("factor", by, factors)
    if frame.empty:
        raise ConfigError("overview: expected rows, got none; run the study")
    across = next((name for name in factors if name in latencies), None)
    if by == cluster:
        raise ConfigError(f"overview: expected a factor, got {by}, whose levels are trainings")
    if by == across:
        raise ConfigError(
            f"overview: expected a factor that is not of latencies, got {by}; they are the columns"
        )
    known = frame[frame["valid"].astype(bool)]
    if known.empty:
        raise ConfigError("overview: expected valid rows, got none; see why they are invalid")
    shared = _shared(known, factors, by)
    chosen = _chosen(frame, limit_s)
    drops = by != EVENT and EVENT in known and UNDISTURBED in set(known[EVENT].astype(str))
    lines = [
        (level, *_figures(shared[shared[by].astype(str) == level], chosen, known, drops))
        for level in factors[by]
        if (known[by].astype(str) == level).any()
    ]
    reactions = _reaction_headings(known)
    drop = ["drop (points)"] if drops else []
    header = [by, *(heading(outcome) for outcome in chosen), *drop, *reactions]
    return Overview(
        _success(known, factors, by, across, limits),
        TextTable(tuple(header), tuple(lines)),
        len(_contexts(shared, factors, by)),
        int(shared["seed"].nunique()),
        0 if cluster is None else int(known[cluster].nunique()),
    )


def _contexts(rows: DataFrame, factors: Mapping[str, Sequence[str]], by: str) -> set[tuple]:
    names = [name for name in factors if name != by]
    return set(zip(*(rows[name].astype(str) for name in names), strict=True)) if names else {()}


def _shared(known: DataFrame, factors: Mapping[str, Sequence[str]], by: str) -> DataFrame:
    """Rows of the contexts in which every level has some."""
    names = [name for name in factors if name != by]
    if not names:
        return known
    parts = [rows for _, rows in known.groupby(by, observed=True)]
    common = set.intersection(*(_contexts(rows, factors, by) for rows in parts))
    where = list(zip(*(known[name].astype(str) for name in names), strict=True))
    return known[[context in common for context in where]]


def _chosen(frame: DataFrame, limit_s: float | None) -> list[Outcome]:
    there = {outcome.name for outcome in study_outcomes(frame, None, limit_s)}
    columns = {str(column) for column in frame}
    wanted = [name for name in FIGURES if name in there | columns]
    place = wanted.index("time_to_success_s") + 1 if "time_to_success_s" in wanted else 0
    wanted[place:place] = [name for name in sorted(there) if name.endswith("_per_min")]
    return [
        outcome
        for outcome in study_outcomes(frame, wanted, limit_s)
        if outcome.values(frame).notna().any()
    ]


def _figures(
    rows: DataFrame, chosen: Sequence[Outcome], known: DataFrame, drops: bool
) -> tuple[str, ...]:
    cells = [_mean(outcome, outcome.values(rows), rows) for outcome in chosen]
    return (*cells, *(_drop(rows) if drops else ()), *_reactions(rows, known))


def _mean(outcome: Outcome, values: Series, rows: DataFrame) -> str:
    """Mean over seeds of a seed's mean, with Student's interval within what is possible."""
    by_seed = values.dropna().astype(float).groupby(rows["seed"]).mean()
    if by_seed.empty:
        return "–"
    i = mean_interval(np.asarray(by_seed), bounds=outcome.bounds)
    value, *ends = (outcome.shown(x, unit=False) for x in (i.value, i.low, i.high))
    return value if math.isnan(i.low) else f"{value} [{', '.join(ends)}]"


def _drop(rows: DataFrame) -> tuple[str]:
    """Success undisturbed minus disturbed, a number a seed."""
    still = rows[EVENT].astype(str) == UNDISTURBED
    success = rows["success"].astype(float)
    by_seed = [success[part].groupby(rows["seed"][part]).mean() for part in (still, ~still)]
    lost = (by_seed[0] - by_seed[1]).dropna()
    if lost.empty:
        return ("–",)
    i = mean_interval(100 * np.asarray(lost), bounds=(-100.0, 100.0))
    value, *ends = (f"{round(x, 1) + 0.0:.1f}".replace("-", "−") for x in (i.value, i.low, i.high))
    return (value if math.isnan(i.low) else f"{value} [{', '.join(ends)}]",)


def _reaction_headings(known: DataFrame) -> list[str]:
    if "reaction_bound_s" not in known or known["reaction_bound_s"].isna().all():
        return []
    names = ["reaction (ms, median)", f"{100 * SLOW:.0f} %", "/ bound (median)"]
    return names + (["/ expected (median)"] if "expected_reaction_s" in known else [])


def _reactions(rows: DataFrame, known: DataFrame) -> tuple[str, ...]:
    """Median and upper quantile over all disturbed episodes, and medians of both ratios."""
    count = len(_reaction_headings(known))
    disturbed = rows[rows["reaction_bound_s"].notna()] if count else rows.iloc[:0]
    if disturbed.empty:
        return ("–",) * count
    never = disturbed["reaction_censored"].astype("boolean").fillna(False).astype(bool)
    found = disturbed["reaction_s"].astype(float).mask(never, math.inf)
    disturbed, found = disturbed[found.notna()], found.dropna()
    if found.empty:
        return ("–",) * count
    cells = [_quantile(1e3 * found, 0.5, ".0f"), _quantile(1e3 * found, SLOW, ".0f")]
    for name in ("reaction_bound_s", "expected_reaction_s")[: count - 2]:
        reference = disturbed[name].astype(float)
        cells.append(_quantile((found / reference.where(reference > 0)).dropna(), 0.5, ".2f"))
    return tuple(cells)


def _quantile(values: Series, share: float, form: str) -> str:
    if values.empty:
        return "–"
    found = float(np.quantile(values, share, method="higher"))
    return "∞" if math.isinf(found) else f"{found:{form}}"


def _success(
    known: DataFrame,
    factors: Mapping[str, Sequence[str]],
    by: str,
    across: str | None,
    limits: Sequence[LatencyLimit],
) -> TextTable:
    """Successes of valid episodes, a column per latency, and L_max of the line."""
    others = [name for name in factors if name not in (by, across)]
    columns = list(factors[across]) if across else ["success"]
    at = {frozenset(limit.within.items()): limit for limit in limits}
    head = next((f"L_max({limit.points:g})" for limit in limits), None)
    lines = []
    for level in factors[by]:
        rows = known[known[by].astype(str) == level]
        for context in _ordered(rows, factors, others):
            told = dict(zip((by, *others), (level, *context), strict=True))
            here = rows
            for name in others:
                here = here[here[name].astype(str) == told[name]]
            parts = [here[here[across].astype(str) == c] for c in columns] if across else [here]
            cells = [_counted(part) for part in parts]
            limit = at.get(frozenset(told.items()))
            tail = () if head is None else ("–" if limit is None else _limit_text(limit),)
            lines.append((level, *context, *cells, *tail))
    header = (by, *others, *columns, *(() if head is None else (head,)))
    return TextTable(header, tuple(lines))


def _ordered(
    rows: DataFrame, factors: Mapping[str, Sequence[str]], others: Sequence[str]
) -> list[tuple[str, ...]]:
    """Contexts of the other factors that rows have, in the order of the levels."""
    if not others:
        return [()]
    there = set(zip(*(rows[name].astype(str) for name in others), strict=True))
    place = {name: {level: k for k, level in enumerate(factors[name])} for name in others}
    return sorted(
        there, key=lambda row: [place[n][level] for n, level in zip(others, row, strict=True)]
    )


def _counted(rows: DataFrame) -> str:
    return f"{int(rows['success'].astype(bool).sum())}/{len(rows)}" if len(rows) else "–"


def _limit_text(limit: LatencyLimit) -> str:
    if not limit.can_lose:
        return "says nothing"
    return "not resolved" if limit.found is None else limit.found.level
