"""The figures a table shows, with the names and units people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.runner.seed_run import Row, figures_of
from xr0_sim.metrics.reaction import Reaction, summarise_reactions
from xr0_sim.metrics.statistics import Interval
from xr0_sim.metrics.summary import Summary, format_interval, summarise

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Headline:
    """One line of a table.

    Attributes:
        figure: Name in the episode rows.
        label: Name people read, with its unit.
        scale: Factor from the figure's unit to the label's.
        meaning: One line of explanation.
    """

    figure: str
    label: str
    scale: float
    meaning: str


HEADLINES = (
    Headline("success", "success", 1.0, "the whole task done"),
    Headline("progress", "progress", 1.0, "share of the task done"),
    Headline("bricks_per_min", "bricks/min", 1.0, "sorted per simulated minute"),
    Headline("towels_per_min", "towels/min", 1.0, "folded per simulated minute"),
    Headline("age_mean_ticks", "action age (ticks)", 1.0, "since its observation"),
    Headline("hold_share", "starvation", 1.0, "ticks without an action"),
    Headline("seam_position_mean_rad", "seam (mrad)", 1e3, "joint jump where chunks meet"),
    Headline("tool_jerk_m_s3", "jerk (m/s³)", 1.0, "RMS of both tools"),
    Headline("reaction_s", "reaction (s)", 1.0, "event to changed command"),
)


def condition_summary(rows: Sequence[Row]) -> Summary:
    """Every figure of the rows with its interval."""
    return summarise(figures_of(list(rows)))


def readable(summary: Summary) -> Summary:
    """Headline figures only, under their labels and in their units."""
    figures, rates = {}, set()
    for line in HEADLINES:
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
    for line in HEADLINES:
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
