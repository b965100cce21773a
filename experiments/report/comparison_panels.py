"""Panels of figures per switch position: points with intervals, or curves over the latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.report.columns import condition_summary
from experiments.report.style import GRID, MUTED, position_words
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row
from xr0_sim.metrics.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, GAP = 0.140, 0.985, 0.030
"""Where the columns of one-latency panels lie, in figure shares."""


@dataclass(frozen=True)
class Panel:
    """One column.

    Attributes:
        figure: Name in the episode rows.
        title: Heading with the unit.
        scale: Factor from the figure's unit to the title's.
        better: ``more`` or ``less``.
    """

    figure: str
    title: str
    scale: float
    better: str


PANELS = (
    Panel("success", "success (%)", 100.0, "more"),
    Panel("bricks_per_min", "bricks per minute", 1.0, "more"),
    Panel("towels_per_min", "towels per minute", 1.0, "more"),
    Panel("seam_position_mean_rad", "seam jump (mrad)", 1e3, "less"),
    Panel("tool_jerk_m_s3", "tool jerk (m/s³)", 1.0, "less"),
    Panel("reaction_s", "reaction time (ms)", 1e3, "less"),
)


@dataclass(frozen=True)
class Comparison:
    """What was compared.

    Attributes:
        conditions: Condition name ``POSITION @ LATENCY`` -> condition.
        rows: Condition name -> episode rows.
        colours: Position -> colour.
    """

    conditions: Mapping[str, Condition]
    rows: Mapping[str, Sequence[Row]]
    colours: Mapping[str, str]

    @property
    def positions(self) -> list[str]:
        """Switch positions in order."""
        return list(dict.fromkeys(name.rpartition(" @ ")[0] for name in self.rows))

    @property
    def latencies(self) -> list[str]:
        """Latencies in order."""
        return list(dict.fromkeys(name.rpartition(" @ ")[2] for name in self.rows))

    def figure(self, position: str, latency: str, panel: Panel) -> Interval | None:
        """A figure in the panel's unit; None where no episode has it."""
        rows = self.rows.get(f"{position} @ {latency}", ())
        found = condition_summary(rows).figures.get(panel.figure)
        if found is None or found.n == 0:
            return None
        value, low, high = (x * panel.scale for x in (found.value, found.low, found.high))
        return Interval(value, low, high, found.n)

    def panels(self) -> list[Panel]:
        """Panels with something to show."""
        return [
            panel
            for panel in PANELS
            if any(self.figure(p, lat, panel) for p in self.positions for lat in self.latencies)
        ]


def draw_points(figure: Figure, comparison: Comparison, bottom: float, top: float) -> None:
    """One latency: a row per switch position, a column per figure.

    Args:
        figure: Where to draw.
        comparison: What to show.
        bottom: Lower end of the axes in figure shares.
        top: Upper end.
    """
    panels = comparison.panels()
    width = (RIGHT - LEFT - GAP * (len(panels) - 1)) / len(panels)
    for column, panel in enumerate(panels):
        box = (LEFT + column * (width + GAP), bottom, width, top - bottom)
        axes = figure.add_axes(box)
        ends = [0.0]
        for lane, position in enumerate(comparison.positions):
            found = comparison.figure(position, comparison.latencies[0], panel)
            colour = comparison.colours[position]
            if column == 0:
                _lane_label(axes, lane, position, colour)
            if found is None:
                axes.text(0.05, lane, "–", color=MUTED, va="center", transform=_lanes(axes))
                continue
            _point(axes, found, lane, colour)
            ends += [x for x in (found.value, found.high) if math.isfinite(x)]
        limit = 100.0 if panel.figure == "success" else 1.08 * max(ends) or 1.0
        axes.set_xlim(-0.02 * limit, 1.03 * limit)
        axes.set_ylim(len(comparison.positions) - 0.5, -0.62)
        axes.set_yticks([])
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        more = panel.better == "more"
        axes.set_xlabel(
            "better →" if more else "← better", loc="right" if more else "left", fontsize=7.5
        )
        _dress(axes, panel)


def draw_curves(figure: Figure, comparison: Comparison, bottom: float, top: float) -> None:
    """Several latencies: a curve per switch position, a column per figure; arguments as above."""
    panels, latencies = comparison.panels(), comparison.latencies
    positions = comparison.positions
    left, gap = 0.040, 0.038
    width = (RIGHT - left - gap * (len(panels) - 1)) / len(panels)
    for column, panel in enumerate(panels):
        axes = figure.add_axes((left + column * (width + gap), bottom, width, top - bottom))
        for order, position in enumerate(positions):
            shift = 0.08 * (order - (len(positions) - 1) / 2)
            _curve(axes, comparison, position, panel, shift)
        labels = [
            comparison.conditions[f"{positions[0]} @ {lat}"].latency.label for lat in latencies
        ]
        axes.set_xticks(range(len(latencies)), [x.replace(" ms", "") for x in labels])
        axes.set_xlim(-0.4, len(latencies) - 0.6)
        axes.set_ylim(0, 104 if panel.figure == "success" else None)
        axes.set_xlabel("latency (ms)", fontsize=7.5)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        _dress(axes, panel)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="lower left",
        ncols=len(names),
        frameon=False,
        fontsize=8.5,
        bbox_to_anchor=(0.008, top + 0.30 / figure.get_figheight()),
    )


def _lanes(axes: Axes):
    return axes.get_yaxis_transform()


def _lane_label(axes: Axes, lane: int, position: str, colour: str) -> None:
    axes.text(
        -0.06,
        lane,
        position_words(position),
        transform=_lanes(axes),
        ha="right",
        va="center",
        color=colour,
        fontweight="bold",
        linespacing=1.05,
    )


def _point(axes: Axes, found: Interval, lane: float, colour: str) -> None:
    low = found.low if math.isfinite(found.low) else found.value
    high = found.high if math.isfinite(found.high) else found.value
    span = [max(0.0, low), high]
    axes.plot(span, [lane, lane], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="butt")
    axes.plot(found.value, lane, "o", color=colour, markersize=6.5, clip_on=False, zorder=5)
    axes.annotate(
        f"{found.value:.3g}",
        (found.value, lane),
        (0, 5.5),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=colour,
        fontweight="bold",
        annotation_clip=False,
    )


def _curve(axes: Axes, comparison: Comparison, position: str, panel: Panel, shift: float) -> None:
    """A point per latency, joined; ``shift`` keeps whiskers of neighbours apart."""
    found = {
        place + shift: value
        for place, latency in enumerate(comparison.latencies)
        if (value := comparison.figure(position, latency, panel)) is not None
    }
    colour = comparison.colours[position]
    axes.plot(
        list(found),
        [value.value for value in found.values()],
        "o-",
        color=colour,
        markersize=4.5,
        linewidth=1.5,
        label=position_words(position, ", "),
    )
    for x, value in found.items():
        if math.isfinite(value.low):
            span = [max(0.0, value.low), value.high]
            axes.plot([x, x], span, color=colour, linewidth=2.0, alpha=0.4)


def _dress(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, fontsize=9.5, fontweight="bold", loc="left", pad=6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7.5, length=2)
