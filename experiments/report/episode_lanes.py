"""The whole timeline of an episode as one drawing: inferences, executed chunks, speed, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.metrics.motion import point_speed
from xr0_sim.record.ticklog import TickTable
from xr0_sim.view.palette import chunk_colour
from xr0_sim.view.timeline_figure import inference_spans

PX = 4
"""Width of a tick [px]."""
MARKS, INFERENCES, ROBOT, AGE, SPEED = 34, 18, 22, 46, 70
"""Heights of the lanes from top to bottom [px]."""
GAP = 18
"""Between lanes; the words above a curve stand in it [px]."""
LANES = 3
"""Inferences under way at once that are drawn side by side; further ones share the last lane."""


def lanes_svg(
    table: TickTable, twin: TickTable | None, reactions: Sequence[Mapping[str, Any]]
) -> str:
    """An ``<svg>`` of `PX` pixels a tick, whose colours are the page's variables.

    Args:
        table: Tick log of the episode.
        twin: That of its undisturbed twin, for the speed.
        reactions: The row's ``reactions``: kind, tick, reaction_s and reaction_bound_s.
    """
    ticks, hz = len(table), float(table.meta["control_hz"])
    parts: list[str] = []
    top = MARKS
    parts += _inferences(table, top)
    top += LANES * INFERENCES + GAP
    parts += _robot(table, top)
    top += ROBOT + GAP
    parts += _line(np.asarray(table["age_ticks"], float), top, AGE, "age of the action [ticks]", "")
    top += AGE + GAP
    speed = _speed(table, hz)
    highest = float(np.nanmax(speed, initial=0.1))
    if twin is not None:
        other = _speed(twin, hz)[:ticks]
        highest = max(highest, float(np.nanmax(other, initial=0.1)))
        parts += _line(other, top, SPEED, "", " twin", highest)
    parts += _line(speed, top, SPEED, "speed of the faster tool [m/s]", "", highest)
    height = top + SPEED + 24
    parts += _events(table, reactions, height - 20, hz)
    parts += _seconds(ticks, hz, height)
    width = ticks * PX
    return (
        f'<svg class="lanes" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="timeline of {ticks} control ticks">{"".join(parts)}'
        f'<line id="cursor" class="cursor" x1="0" x2="0" y1="0" y2="{height}"/></svg>'
    )


def _inferences(table: TickTable, top: int) -> list[str]:
    busy = [-1] * LANES
    parts = []
    last = len(table)
    for span in inference_spans(table):
        end = last if span.arrival is None else span.arrival
        lane = next((n for n in range(LANES) if busy[n] <= span.capture), LANES - 1)
        busy[lane] = max(end, span.capture + 1)
        y = top + lane * INFERENCES
        x, width = span.capture * PX, max(1, end - span.capture) * PX
        told = f"inference {span.number}: capture {span.capture}, arrival {span.arrival}"
        parts.append(f"<g><title>{told}, prefix {span.prefix} ticks</title>")
        parts.append(
            f'<rect class="inference" x="{x}" y="{y + 4}" width="{width}" height="6" rx="2"/>'
        )
        parts.append(f'<circle class="capture" cx="{x + PX / 2}" cy="{y + 7}" r="3.5"/>')
        if span.prefix:
            parts.append(
                f'<rect class="prefix" x="{x}" y="{y + 11}" width="{span.prefix * PX}" height="4"/>'
            )
        parts.append("</g>")
    return parts


def _robot(table: TickTable, top: int) -> list[str]:
    """Stretches of equal chunk, one box each."""
    chunks = np.where(table["hold"], -1, table["chunk_id"])
    edges = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(chunks)]
    parts = []
    for first, end in pairwise(edges):
        chunk = int(chunks[first])
        what = "waits" if chunk < 0 else f"chunk {chunk}"
        fill = "rgb({},{},{})".format(*chunk_colour(chunk))
        style = 'class="hold"' if chunk < 0 else f'fill="{fill}"'
        parts.append(
            f'<rect {style} x="{first * PX}" y="{top}" width="{(end - first) * PX - 0.5}" '
            f'height="{ROBOT}"><title>{what}, ticks {first} to {end - 1}</title></rect>'
        )
    return parts


def _line(
    values: NDArray[np.float64],
    top: int,
    height: int,
    label: str,
    kind: str,
    highest: float | None = None,
) -> list[str]:
    highest = highest or max(1.0, float(np.nanmax(values, initial=1.0)))
    points = " ".join(
        f"{(tick + 0.5) * PX:.0f},{top + height - height * value / highest:.1f}"
        for tick, value in enumerate(values)
        if np.isfinite(value)
    )
    parts = [f'<polyline class="curve{kind}" points="{points}"/>']
    if label:
        parts.append(
            f'<text class="small pinned" x="4" y="{top - 5}">{label}, at most {highest:.3g}</text>'
        )
    return parts


def _speed(table: TickTable, hz: float) -> NDArray[np.float64]:
    """Speed (T,) of the faster tool [m/s]; NaN where there is none yet."""
    tools = np.asarray(table["tool_pos"]).reshape(-1, 2, 3)
    found = np.full(len(tools), np.nan)
    if len(tools) > 1:
        both = np.stack([point_speed(tools[:, arm], hz) for arm in range(2)])
        found[-both.shape[1] :] = both.max(0)
    return found


def _events(
    table: TickTable, reactions: Sequence[Mapping[str, Any]], height: int, hz: float
) -> list[str]:
    parts = []
    for number, found in enumerate(reactions):
        x, y = found["tick"] * PX, 12 + 11 * (number % 2)
        kind = escape(str(found["kind"]))
        parts.append(f'<line class="event" x1="{x}" x2="{x}" y1="{y}" y2="{height}"/>')
        parts.append(f'<text class="event" x="{x + 4}" y="{y}">{kind}</text>')
        for name, style, word in (
            ("reaction_bound_s", "bound", "earliest possible"),
            ("reaction_s", "reaction", "first changed command"),
        ):
            if found.get(name) is not None:
                at = (found["tick"] + found[name] * hz) * PX
                parts.append(
                    f'<line class="{style}" x1="{at:.1f}" x2="{at:.1f}" y1="{MARKS - 8}" '
                    f'y2="{height}"><title>{word}: {1000 * found[name]:.0f} ms</title></line>'
                )
    return parts


def _seconds(ticks: int, hz: float, height: int) -> list[str]:
    return [
        f'<text class="small" x="{second * hz * PX:.0f}" y="{height - 4}">{second} s</text>'
        for second in range(int(ticks / hz) + 1)
    ]
