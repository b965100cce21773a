"""A picture of asynchronous inference: who captured, who computed, who moved the robot, when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xr0_sim.atomic import replacing
from xr0_sim.errors import ConfigError
from xr0_sim.record.ticklog import TickTable
from xr0_sim.view.palette import ALARM, HOLD, chunk_colour, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_NUMBER_TICKS = 60
"""Row indices are written into the cells of stretches up to this long."""


@dataclass(frozen=True)
class InferenceSpan:
    """One inference of a tick log.

    Attributes:
        number: Inference number.
        capture: Tick of the capture.
        arrival: Tick of the delivery; None if the log ends before.
        prefix: Length of its prefix [ticks].
        end: First tick after its last row.
    """

    number: int
    capture: int
    arrival: int | None
    prefix: int
    end: int


def inference_spans(table: TickTable) -> list[InferenceSpan]:
    """The inferences of a log, in order."""
    ticks, spans = table["tick"], []
    arrivals = {int(n): i for i, n in enumerate(table["delivered"]) if n >= 0}
    acted = set(table["chunk_id"].tolist())
    for row in np.flatnonzero(table["started"] >= 0):
        number = int(table["started"][row])
        arrived = arrivals.get(number)
        arrival = None if arrived is None else int(ticks[arrived])
        end = int(ticks[row])
        if arrived is not None and arrival is not None:
            # A chunk that arrives stale leaves the robot holding and nothing in the queue; one that
            # is dropped leaves the queue of another.
            dropped = table["dropped"][arrived] > 0 and number not in acted
            fresh = not table["hold"][arrived]
            end = arrival if dropped else arrival + int(fresh) + int(table["queue"][arrived])
        prefix = int(table["prefix_steps"][row])
        spans.append(InferenceSpan(number, int(ticks[row]), arrival, prefix, end))
    return spans


def timeline_figure(table: TickTable, first_tick: int, last_tick: int, title: str = "") -> Figure:
    """Draws the ticks ``first_tick .. last_tick`` of a log.

    One lane per inference: a grey bar from capture to arrival, a hatched frame around its prefix,
    pale cells for rows that were planned, solid cells with their row number for rows that were
    executed. The lowest lane is what the robot did, with the age of each action in ticks. Vertical
    lines are hand-overs and events.

    Args:
        table: Tick log.
        first_tick: First tick shown.
        last_tick: Last tick shown.
        title: Heading.

    Returns:
        A figure without a window; `save_timeline_figure` writes it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ticks = table["tick"]
    shown = (ticks >= first_tick) & (ticks <= last_tick)
    if not shown.any():
        found = f"{ticks[0]}..{ticks[-1]}" if len(ticks) else "none"
        raise ConfigError(
            f"timeline figure: expected ticks within {found}, got {first_tick}..{last_tick}"
        )
    used = set(table["chunk_id"][shown].tolist())
    spans = [
        span
        for span in inference_spans(table)
        if span.capture <= last_tick
        and (span.number in used or span.arrival is None or span.arrival > first_tick)
    ]
    figure = Figure(figsize=(12, 1.6 + 0.42 * (len(spans) + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    numbered = last_tick - first_tick < ROW_NUMBER_TICKS
    for lane, span in enumerate(spans):
        _draw_lane(axes, table, span, lane, last_tick, numbered)
    _draw_robot(axes, table, np.flatnonzero(shown), len(spans), numbered)
    _draw_marks(axes, table, np.flatnonzero(shown))
    axes.set_xlim(first_tick, last_tick + 1)
    axes.set_ylim(len(spans) + 0.6, -1.0)
    axes.set_yticks(range(len(spans) + 1), [f"chunk {s.number}" for s in spans] + ["robot (age)"])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("control tick")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11, pad=24)
    _draw_legend(axes)
    return figure


def save_timeline_figure(figure: Figure, path: str | Path, dpi: int = 110) -> None:
    """Writes PNG, SVG or PDF by suffix; the file appears complete or not at all."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=dpi)


def _draw_lane(
    axes: Axes, table: TickTable, span: InferenceSpan, lane: int, last_tick: int, numbered: bool
) -> None:
    colour = unit(chunk_colour(span.number))
    arrival = last_tick + 1 if span.arrival is None else span.arrival
    axes.broken_barh([(span.capture, arrival - span.capture)], (lane - 0.38, 0.24), color="0.35")
    axes.plot(span.capture, lane - 0.26, "o", color="0.15", markersize=5)
    if span.prefix:
        axes.broken_barh(
            [(span.capture, span.prefix)],
            (lane - 0.1, 0.5),
            facecolor="none",
            edgecolor="0.35",
            hatch="////",
            linewidth=0.6,
        )
    if span.end > arrival:
        planned = [(arrival, span.end - arrival)]
        axes.broken_barh(planned, (lane - 0.1, 0.5), color=colour, alpha=0.25)
    used = table["chunk_id"] == span.number
    cells = [(int(t) + 0.04, 0.92) for t in table["tick"][used]]
    axes.broken_barh(cells, (lane - 0.1, 0.5), color=colour)
    if numbered:
        for tick, index in zip(table["tick"][used], table["index"][used], strict=True):
            axes.text(
                tick + 0.5,
                lane + 0.16,
                str(index),
                ha="center",
                va="center",
                fontsize=7,
                clip_on=True,
            )


def _draw_robot(axes: Axes, table: TickTable, rows: np.ndarray, lane: int, numbered: bool) -> None:
    for row in rows:
        tick, held = int(table["tick"][row]), bool(table["hold"][row])
        colour = unit(HOLD if held else chunk_colour(int(table["chunk_id"][row])))
        style: dict[str, Any] = {"color": colour}
        if held:
            style = {"facecolor": "none", "edgecolor": unit(ALARM), "hatch": "xxx"}
        axes.broken_barh([(tick + 0.04, 0.92)], (lane - 0.25, 0.6), **style)
        if numbered and not held:
            axes.text(
                tick + 0.5,
                lane + 0.06,
                str(int(table["age_ticks"][row])),
                ha="center",
                va="center",
                fontsize=7,
                clip_on=True,
            )


def _draw_marks(axes: Axes, table: TickTable, rows: np.ndarray) -> None:
    for row in rows:
        tick = int(table["tick"][row])
        if table["seam"][row]:
            late = bool(table["overrun"][row])
            axes.axvline(
                tick, color=unit(ALARM) if late else "0.2", linewidth=1.0, linestyle=(0, (4, 3))
            )
            if late:
                axes.text(tick, -0.62, " late", color=unit(ALARM), fontsize=8, va="center")
        if table["events"][row]:
            axes.axvline(tick, color=unit(ALARM), linewidth=2.0)
            axes.text(
                tick,
                -0.85,
                f"▼ {table['events'][row].replace('_', ' ')}",
                color=unit(ALARM),
                fontsize=9,
                fontweight="bold",
                va="bottom",
            )


def _draw_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    blue = unit(chunk_colour(0))
    handles = [
        Line2D([], [], color="0.35", linewidth=4, marker="o", label="capture, inference"),
        Patch(facecolor="none", edgecolor="0.35", hatch="////", label="prefix"),
        Patch(facecolor=blue, label="executed (row number)"),
        Patch(facecolor=blue, alpha=0.25, label="planned, dropped"),
        Patch(facecolor="none", edgecolor=unit(ALARM), hatch="xxx", label="hold"),
        Line2D([], [], color="0.2", linestyle=(0, (4, 3)), label="hand-over"),
    ]
    axes.legend(
        handles=handles,
        ncols=len(handles),
        fontsize=8,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
    )
