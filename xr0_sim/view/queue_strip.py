"""The action queue as a strip of cells: what was executed, what is due, where chunks change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xr0_sim.runtime.episode_ports import TickSample
from xr0_sim.runtime.tick_record import TickRecord
from xr0_sim.view.palette import ALARM, EVENT, MUTED, PANEL, TEXT, chunk_colour

if TYPE_CHECKING:
    from PIL import ImageDraw

PAST_TICKS = 45
FUTURE_TICKS = 30


@dataclass(frozen=True)
class _Cell:
    tick: int
    chunk_id: int
    seam: bool
    inferring: bool
    started: bool
    event: bool


class QueueStrip:
    """Collects ticks and draws the strip.

    ::

        ▽ event          │ hand-over                 ▮ now
        ████████████████████████████████████████████ ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
        past ticks, coloured by chunk, holds hollow    actions in the queue
              ●────────── inference, from its capture to its delivery
    """

    def __init__(self) -> None:
        self._past: deque[_Cell] = deque(maxlen=PAST_TICKS)
        self._queue = 0

    def advance(self, sample: TickSample) -> None:
        """Takes a tick in."""
        record: TickRecord = sample.record
        self._queue = record.queue
        self._past.append(
            _Cell(
                tick=record.tick,
                chunk_id=record.chunk_id,
                seam=record.seam,
                inferring=record.inferring,
                started=record.started >= 0,
                event=bool(sample.info.get("events", ())),
            )
        )

    def draw(self, canvas: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
        """Draws into ``(left, top, right, bottom)`` in pixels."""
        left, top, right, bottom = box
        pitch = (right - left) / (PAST_TICKS + FUTURE_TICKS)
        gap = 2 if pitch >= 8 else 1 if pitch >= 5 else 0
        rail = max(2, (bottom - top) // 6)
        cells = (top + 2 * rail, bottom - 2 * rail)
        offset = PAST_TICKS - len(self._past)

        def span(place: int) -> tuple[float, float]:
            return left + place * pitch, left + (place + 1) * pitch - gap

        for place, cell in enumerate(self._past, start=offset):
            x0, x1 = span(place)
            if cell.chunk_id < 0:
                canvas.rectangle((x0, cells[0], x1, cells[1]), fill=PANEL, outline=ALARM)
            else:
                canvas.rectangle((x0, cells[0], x1, cells[1]), chunk_colour(cell.chunk_id))
            if cell.seam:
                canvas.line((x0 - gap, cells[0] - rail, x0 - gap, cells[1]), TEXT, 2)
            if cell.inferring:
                canvas.rectangle((x0, cells[1] + rail - 1, x1 + gap, cells[1] + rail + 1), MUTED)
            if cell.started:
                y = cells[1] + rail
                canvas.ellipse((x0 - rail / 2, y - rail / 2, x0 + rail / 2, y + rail / 2), MUTED)
            if cell.event:
                tip = (x0 + x1) / 2
                canvas.polygon([(tip - rail, top), (tip + rail, top), (tip, cells[0])], fill=EVENT)
        self._draw_future(canvas, span, cells)
        now = left + PAST_TICKS * pitch - gap
        canvas.line((now, cells[0] - rail, now, cells[1] + rail), TEXT, 3)

    def _draw_future(
        self,
        canvas: ImageDraw.ImageDraw,
        span: Callable[[int], tuple[float, float]],
        cells: tuple[int, int],
    ) -> None:
        running = next((c.chunk_id for c in reversed(self._past) if c.chunk_id >= 0), -1)
        red, green, blue = chunk_colour(running)
        faint = (red // 2, green // 2, blue // 2)
        for place in range(PAST_TICKS, PAST_TICKS + FUTURE_TICKS):
            x0, x1 = span(place)
            queued = place - PAST_TICKS < self._queue
            colour = faint if queued else PANEL
            canvas.rectangle((x0, cells[0], x1, cells[1]), fill=colour)
