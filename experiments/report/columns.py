"""The figures a table shows, with the names and units people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from envs.task_spec import MetricColumn
from envs.tasks import task_spec
from experiments.runner.seed_run import Row, figures_of
from xr0_sim.metrics.reaction import Reaction, summarise_reactions
from xr0_sim.metrics.statistics import Interval
from xr0_sim.metrics.summary import Summary, format_interval, summarise
from xr0_sim.registry import tasks

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
    """Every figure of the rows with its interval."""
    return summarise(figures_of(list(rows)))


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
    return Summary(summary.n, figures, frozenset(rates))


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
        table.add_row(line.label, text, line.meaning)
    return table


def reaction_block(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Median, 95th percentile and censored share of the reactions; None without events."""
    fired = [row["figures"] for row in rows if row["figures"].get("event_fired")]
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
        "reaction": reaction_block(rows),
    }
