"""Colours with a meaning, shared by overlay and figures (Okabe and Ito, safe for colour blind)."""

from __future__ import annotations

Rgb = tuple[int, int, int]

CHUNKS: tuple[Rgb, ...] = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167))
HOLD: Rgb = (110, 110, 110)
EVENT: Rgb = (240, 228, 66)
ALARM: Rgb = (213, 94, 0)
ALARM_TEXT: Rgb = (255, 165, 95)
GOOD: Rgb = (0, 158, 115)
TEXT: Rgb = (255, 255, 255)
MUTED: Rgb = (190, 190, 190)
PANEL: Rgb = (16, 18, 22)


def chunk_colour(chunk_id: int) -> Rgb:
    """Colour of a chunk; neighbours in time differ. Negative ids are holds."""
    return HOLD if chunk_id < 0 else CHUNKS[chunk_id % len(CHUNKS)]


def unit(colour: Rgb) -> tuple[float, float, float]:
    """The colour with components in 0..1."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
