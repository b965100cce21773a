"""The figures a table shows, with the names and units people read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from envs.task_spec import MetricColumn
from envs.tasks import task_spec
from experiments.runner.episode_rows import Row, figures_of, is_valid
from xr0_sim.metrics.reaction import Reaction, summarise_reactions
from xr0_sim.metrics.statistics import Interval, wilson
from xr0_sim.metrics.summary import Summary, format_interval, summarise
from xr0_sim.registry import tasks
from xr0_sim.runtime.episode_ports import NOT_FIRED

if TYPE_CHECKING:
    from rich.table import Table


OUTCOME = (
    MetricColumn("success", "success", 1.0, "the whole task done"),
    MetricColumn("progress", "progress", 1.0, "share of the task done"),
)
EXECUTION = (
    MetricColumn("age_mean_ticks", "action age (ticks)", 1.0, "since its observation"),
    MetricColumn("hold_share", "starvation", 1.0, "ticks without an action"),
    MetricColumn("seam_position_mean_rad", "seam (mrad)", 1e3, "joint jump where chunks meet"),
    MetricColumn("tool_jerk_m_s3", "jerk (m/s³)", 1.0, "RMS of both tools"),
    MetricColumn("reaction_s", "reaction (s)", 1.0, "event to changed command"),
)


def table_columns() -> list[MetricColumn]:
    """Every line a table may show: the outcome, what the tasks count, the execution."""
    own = (column for name in tasks for column in task_spec(name).metric_columns)
    return list(dict.fromkeys((*OUTCOME, *own, *EXECUTION)))


def condition_summary(rows: Sequence[Row]) -> Summary:
    """Every figure of the valid rows with its interval; invalid ones are counted.

    The share of episodes whose event fired is that of all rows. Reactions that were all censored
    keep their figure, without a value.
    """
    found = summarise(figures_of(rows), invalid=sum(not is_valid(row) for row in rows))
    figures = dict(found.figures)
    told = [row["figures"].get("event_fired") for row in rows]
    fired = [bool(value) for value in told if value is not None]
    if fired:
        figures["event_fired"] = wilson(sum(fired), len(fired))
    if any(fired):
        figures.setdefault("reaction_s", Interval(math.nan, math.nan, math.nan, 0))
    rates = found.rates | ({"event_fired"} if fired else set())
    return replace(found, figures=figures, rates=frozenset(rates))


def readable(summary: Summary) -> Summary:
    """Headline figures only, under their labels and in their units."""
    figures, rates = {}, set()
    for line in table_columns():
        found = summary.figures.get(line.figure)
        if found is None:
            continue
        figures[line.label] = Interval(
            found.value * line.scale, found.low * line.scale, found.high * line.scale, found.n
        )
        if line.figure in summary.rates:
            rates.add(line.label)
    return Summary(summary.n, figures, frozenset(rates), summary.invalid)


def upright_table(summary: Summary, title: str) -> Table:
    """Table of one condition, one figure per line."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("figure")
    table.add_column("value [95 % interval]", justify="right")
    table.add_column("meaning", style="dim")
    shown = readable(summary)
    for line in table_columns():
        if line.figure not in summary.figures:
            continue
        text = format_interval(shown.figures[line.label], summary.n, line.label in shown.rates)
        table.add_row(line.label, text, line.meaning + _censored(line.figure, summary))
    return table


def _censored(figure: str, summary: Summary) -> str:
    """How many reactions are missing from their mean because none was seen."""
    share = summary.figures.get("reaction_censored")
    if figure != "reaction_s" or share is None or not share.value > 0:
        return ""
    return f"; {round(share.value * share.n)} of {share.n} censored"


def invalid_line(rows: Sequence[Row]) -> str:
    """What is to be said about invalid episodes; empty if there are none.

    For example ``2 of 10 invalid: event did not fire: shove (2)``.
    """
    reasons = invalid_reasons(rows)
    if not reasons:
        return ""
    told = "; ".join(f"{reason} ({count})" for reason, count in reasons.items())
    return f"{sum(reasons.values())} of {len(rows)} invalid: {told}"


def stop_line(rows: Sequence[Row]) -> str:
    """What is to be said about protective stops; empty if there are none.

    For example ``1 of 10 failed by a protective stop: seed 3: left/left_finger was pressed on …``.
    """
    told = [f"seed {row['seed']}: {row['protective_stop']}" for row in rows if stopped(row)]
    return f"{len(told)} of {len(rows)} failed by a protective stop: {'; '.join(told)}" * bool(told)


def stopped(row: Row) -> bool:
    """Whether a protective stop ended the episode; rows of older versions know of none."""
    return bool(row.get("protective_stop"))


def invalid_reasons(rows: Sequence[Row]) -> dict[str, int]:
    """Reason -> number of episodes, the most frequent first."""
    found = Counter(row.get("invalid_reason") or "unknown" for row in rows if not is_valid(row))
    return dict(found.most_common())


def events_not_fired(rows: Sequence[Row]) -> int:
    """Episodes that ended before all of their events had fired."""
    return sum(
        (row.get("invalid_reason") or "").startswith(NOT_FIRED)
        or row["figures"].get("event_fired") is False
        for row in rows
    )


def reaction_block(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Median, 95th percentile and censored share of the reactions; None without events."""
    fired = [row for row in figures_of(rows) if row.get("event_fired")]
    if not fired:
        return None
    found = summarise_reactions(
        [Reaction(figures["reaction_s"], 0.0, figures["reaction_bound_s"]) for figures in fired]
    )
    return {
        "median_s": found.median_s,
        "p95_s": found.p95_s,
        "censored": vars(found.censored),
        "median_lower_bound_s": found.median_lower_bound_s,
        "n": len(fired),
    }


def summary_object(rows: Sequence[Row], requested: int) -> dict[str, Any]:
    """JSON form: ``n``, every figure with value, low, high and n, and the reactions."""
    return {
        **condition_summary(rows).to_dict(),
        "requested": requested,
        "complete": len(rows) == requested,
        "invalid_reasons": invalid_reasons(rows),
        "events_not_fired": events_not_fired(rows),
        "reaction": reaction_block(rows),
    }
