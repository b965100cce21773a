"""Strips of what a robot did around an event: chunks, inferences, holds, reaction, tool speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.report.style import EVENT, GRID, INK, MUTED
from xr0_sim.conventions import ARMS
from xr0_sim.metrics.motion import point_speed
from xr0_sim.metrics.reaction import reaction
from xr0_sim.record.ticklog import TickTable, read_ticklog
from xr0_sim.view.timeline_figure import inference_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEFORE_S, AFTER_S = 0.5, 1.15
"""What is shown around the event [s]."""


@dataclass(frozen=True)
class Strip:
    """One episode around its event.

    Attributes:
        seed: Seed of the episode.
        table: Its tick log.
        twin: Tick log of its undisturbed twin.
        event_tick: Tick in which the event fired.
        reaction_s: Reaction time [s]; None if none was seen.
    """

    seed: int
    table: TickTable
    twin: TickTable
    event_tick: int
    reaction_s: float | None


def load_strip(path: Path, twin_path: Path, *, event_tick: int, seed: int) -> Strip:
    """Reads both tick logs."""
    table, twin = read_ticklog(path), read_ticklog(twin_path)
    found = reaction(table["action"], twin["action"], event_tick, table.meta["control_hz"])
    return Strip(seed, table, twin, event_tick, found.seconds)


def draw_strips(
    figure: Figure,
    strips: Sequence[tuple[str, str, Strip]],
    *,
    bottom: float,
    top: float,
    note: str,
    event: str,
) -> None:
    """Draws one strip under the other, aligned at the event.

    Args:
        figure: Where to draw.
        strips: Label, colour and strip of every lane.
        bottom: Lower end in figure shares.
        top: Upper end in figure shares.
        note: Heading.
        event: What happened.
    """
    left, right = 0.140, 0.985
    pitch = (top - bottom) / len(strips)
    fastest = max(float(_speeds(strip).max(initial=0.1)) for _, _, strip in strips)
    _heading(figure, top, note)
    for lane, (label, colour, strip) in enumerate(strips):
        low = top - (lane + 1) * pitch
        axes = figure.add_axes((left, low + 0.08 * pitch, right - left, 0.90 * pitch))
        _draw_strip(axes, strip, colour, fastest, 1.0 if lane == 0 else 1.3)
        if lane == 0:
            label_y = 1.0 + 0.03 / (0.90 * pitch * figure.get_figheight())
            axes.text(
                0.0,
                label_y,
                f"▼ {event}",
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                color=EVENT,
                fontsize=8.5,
                fontweight="bold",
            )
        axes.set_xlim(-1000 * BEFORE_S, 1000 * AFTER_S)
        axes.set_ylim(-1.15, 1.0)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
        last = lane == len(strips) - 1
        axes.spines["bottom"].set_visible(last)
        axes.tick_params(axis="x", labelbottom=last, length=3 if last else 0, labelsize=7.5)
        if last:
            axes.set_xlabel("milliseconds from the event", fontsize=8)
        axes.text(
            -0.012,
            0.62,
            label,
            transform=axes.transAxes,
            ha="right",
            va="center",
            color=colour,
            fontsize=8.5,
            fontweight="bold",
            linespacing=1.05,
        )
        axes.text(
            -0.012,
            0.20,
            "tool speed",
            transform=axes.transAxes,
            ha="right",
            va="center",
            color=MUTED,
            fontsize=7,
        )


def _heading(figure: Figure, top: float, note: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    line = top + 0.30 / figure.get_figheight()
    figure.text(0.012, line, note, fontsize=9.5, fontweight="bold", va="center")
    handles = [
        Patch(facecolor="#8a8f98", label="executed, one shade per chunk"),
        Patch(facecolor="white", edgecolor="#8a8f98", hatch="////", label="waits"),
        Line2D([], [], color=INK, marker="o", markersize=3.5, linewidth=1.6, label="inference"),
        Line2D(
            [], [], color="#8a8f98", linewidth=1.0, linestyle=(0, (2, 2)), label="undisturbed twin"
        ),
    ]
    figure.legend(
        handles=handles,
        ncols=4,
        frameon=False,
        fontsize=7.5,
        loc="center right",
        bbox_to_anchor=(0.994, line),
        handlelength=1.6,
        columnspacing=1.2,
    )


def _draw_strip(axes: Axes, strip: Strip, colour: str, fastest: float, line_top: float) -> None:
    table = strip.table
    tick_ms = 1000.0 / table.meta["control_hz"]
    first = max(0, strip.event_tick - round(1000 * BEFORE_S / tick_ms))
    last = min(len(table), strip.event_tick + round(1000 * AFTER_S / tick_ms))

    def at(tick: float) -> float:
        return (tick - strip.event_tick) * tick_ms

    for row in range(first, last):
        chunk = int(table["chunk_id"][row])
        box = [(at(row) + 1.0, tick_ms - 2.0)]
        if table["hold"][row]:
            axes.broken_barh(
                box,
                (0.30, 0.42),
                facecolor="white",
                edgecolor="#8a8f98",
                hatch="////",
                linewidth=0.6,
            )
        else:
            axes.broken_barh(
                box, (0.30, 0.42), color=colour, alpha=1.0 if chunk % 2 else 0.55, linewidth=0
            )
    for span in inference_spans(table):
        end = last if span.arrival is None else span.arrival
        if end >= first and span.capture < last:
            axes.plot(
                [at(span.capture), at(end)],
                [0.12, 0.12],
                color=INK,
                linewidth=1.6,
                solid_capstyle="butt",
            )
            axes.plot(at(span.capture), 0.12, "o", color=INK, markersize=3.5)
    _draw_speed(axes, strip, colour, fastest, at)
    axes.plot([0, 0], [-1.15, line_top], color=EVENT, linewidth=1.4, zorder=6, clip_on=False)
    if strip.reaction_s is not None and strip.reaction_s <= AFTER_S:
        _mark_reaction(axes, 1000 * strip.reaction_s)


def _draw_speed(
    axes: Axes, strip: Strip, colour: str, fastest: float, at: Callable[[float], float]
) -> None:
    low, height = -1.05, 0.95
    styles: tuple[dict[str, Any], dict[str, Any]] = (
        {"color": "#8a8f98", "linewidth": 1.0, "linestyle": (0, (2, 2))},
        {"color": colour, "linewidth": 1.6},
    )
    for table, style in zip((strip.twin, strip.table), styles, strict=True):
        speed = _tool_speed(table, _moving_arm(strip))
        x = [at(tick + 0.5) for tick in range(len(speed))]
        axes.plot(x, low + height * speed / fastest, **style)
    axes.axhline(low, color=GRID, linewidth=0.8, zorder=0)


def _mark_reaction(axes: Axes, moment_ms: float) -> None:
    axes.plot([moment_ms, moment_ms], [0.22, 0.80], color=INK, linewidth=1.2, zorder=6)
    axes.annotate(
        f"first changed command, {moment_ms:.0f} ms",
        (moment_ms, 0.80),
        (3, -1),
        textcoords="offset points",
        fontsize=7.5,
        color=INK,
        va="bottom",
        fontweight="bold",
    )


def _tool_speed(table: TickTable, arm: int) -> NDArray[np.float64]:
    """Speed of one tool between ticks, (K - 1,) [m/s]."""
    tools = table["tool_pos"].reshape(-1, len(ARMS), 3)
    return point_speed(tools[:, arm], table.meta["control_hz"])


def _moving_arm(strip: Strip) -> int:
    """The arm that travels further in what is shown."""
    hz = strip.table.meta["control_hz"]
    window = slice(
        max(0, strip.event_tick - round(BEFORE_S * hz)), strip.event_tick + round(AFTER_S * hz)
    )
    return int(np.argmax([_tool_speed(strip.table, arm)[window].sum() for arm in range(len(ARMS))]))


def _speeds(strip: Strip) -> NDArray[np.float64]:
    hz = strip.table.meta["control_hz"]
    window = slice(
        max(0, strip.event_tick - round(BEFORE_S * hz)), strip.event_tick + round(AFTER_S * hz)
    )
    return _tool_speed(strip.table, _moving_arm(strip))[window]
