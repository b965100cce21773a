"""What the colours and marks of the queue strip mean, as one line under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xr0_sim.view.fonts import default_font
from xr0_sim.view.palette import ALARM, CHUNKS, EVENT, MUTED, PANEL, TEXT, Rgb

if TYPE_CHECKING:
    from PIL import ImageDraw

SMALLEST_FONT = 9
"""Below this height [px] nobody can read the legend; it is left out."""

Mark = Callable[["ImageDraw.ImageDraw", float, float, float], None]
"""Draws a mark at (x, y of its middle) in a square of the given size [px]."""


def _chunks(canvas: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    for place, colour in enumerate(CHUNKS):
        left = x + place * size / 2
        canvas.rectangle((left, y - size / 2, left + size / 2 - 1, y + size / 2), fill=colour)


def _queued(canvas: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    red, green, blue = CHUNKS[0]
    canvas.rectangle(
        (x, y - size / 2, x + size, y + size / 2), fill=(red // 2, green // 2, blue // 2)
    )


def _hold(canvas: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    canvas.rectangle((x, y - size / 2, x + size, y + size / 2), fill=PANEL, outline=ALARM)


def _line(width: int) -> Mark:
    def draw(canvas: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
        middle = x + size / 2
        canvas.line((middle, y - size / 2, middle, y + size / 2), TEXT, width)

    return draw


def _inference(canvas: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    radius = size / 4
    canvas.ellipse((x, y - radius, x + 2 * radius, y + radius), MUTED)
    canvas.rectangle((x + radius, y - 1, x + 2 * size, y + 1), MUTED)


def _event(canvas: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    half = size / 2
    canvas.polygon([(x, y - half), (x + size, y - half), (x + half, y + half)], fill=EVENT)


ITEMS: tuple[tuple[Mark, float, str], ...] = (
    (_chunks, 2.0, "executed, one colour a chunk"),
    (_queued, 1.0, "queued"),
    (_line(3), 1.0, "now"),
    (_line(1), 1.0, "a new chunk takes over"),
    (_inference, 2.0, "inference"),
    (_event, 1.0, "event"),
    (_hold, 1.0, "no action, arms hold"),
)
"""Mark, its width in squares, and its words."""


def draw_legend(
    canvas: ImageDraw.ImageDraw, left: float, middle: float, right: float, size: int
) -> bool:
    """Draws the legend from `left` to `right` around the height `middle` [px].

    Args:
        canvas: To draw on.
        left: Where it begins.
        middle: Its height in the picture.
        right: Where it has to end.
        size: Height of its letters at most.

    Returns:
        Whether there was room for it.
    """
    for height in range(size, SMALLEST_FONT - 1, -1):
        font = default_font(height, False)
        gap = height / 2
        square = 0.75 * height
        widths = [share * square + gap + font.getlength(words) for _, share, words in ITEMS]
        between = (right - left - sum(widths)) / (len(ITEMS) - 1)
        if between >= gap:
            break
    else:
        return False
    x = left
    for (mark, share, words), width in zip(ITEMS, widths, strict=True):
        mark(canvas, x, middle, square)
        ink: Rgb = MUTED
        canvas.text((x + share * square + gap, middle), words, ink, font, anchor="lm")
        x += width + min(between, 2.5 * gap)
    return True
