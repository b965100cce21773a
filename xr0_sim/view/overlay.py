"""Draws on a frame what the robot was told, how it is run, and what its action queue looks like.

Sizes scale with the frame height down to what can still be read; 540 lines are the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CONTROL_HZ, NS_PER_S
from xr0_sim.runtime.episode_ports import EpisodeResult, EpisodeStart, TickSample
from xr0_sim.view.fonts import caption, default_font
from xr0_sim.view.palette import ALARM, ALARM_TEXT, EVENT, GOOD, MUTED, PANEL, TEXT, Rgb
from xr0_sim.view.queue_strip import QueueStrip
from xr0_sim.view.strip_legend import draw_legend

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

REFERENCE_HEIGHT = 540
STRIP_HEIGHT = 104
"""Height of the band with the queue strip and its legend [px of `REFERENCE_HEIGHT` lines]."""
LEGEND_HEIGHT = 20
"""Height of the legend within it."""
SMALLEST_SCALE = 0.4
FULL_AGE_S = 1.0
"""Action age that fills the age bar [s]: a whole 30-row chunk at 30 Hz."""

BANNER_S = 1.5
"""How long an event is announced [s]."""

PANEL_OPACITY = 190
OUTCOME_COLOURS: dict[str, Rgb] = {"success": GOOD, "failure": ALARM}


class Overlay:
    """Annotator for `xr0_sim.view.video.VideoRecorder`.

    Args:
        instruction: Text the policy was given; ``info["instruction"]`` replaces it when present.
        label: How the policy is run, e.g. ``"prefix async T_e=10 Δ≤6 | 80 ms"``.
    """

    def __init__(self, instruction: str, label: str) -> None:
        self._first_instruction = instruction
        self._label = label
        self._captions: dict[tuple[str, int, bool], tuple[str, Any]] = {}
        self._reset(CONTROL_HZ)

    def start(self, start: EpisodeStart) -> None:
        """Forgets the previous episode."""
        self._reset(start.control_hz)

    def _reset(self, control_hz: int) -> None:
        self._hz = control_hz
        self._instruction = self._first_instruction
        self._strip = QueueStrip()
        self._sample: TickSample | None = None
        self._banner = ""
        self._banner_ns = -(10**18)

    def advance(self, sample: TickSample) -> None:
        """Takes a tick in."""
        self._sample = sample
        self._strip.advance(sample)
        self._instruction = sample.info.get("instruction", self._instruction)
        events = sample.info.get("events", ())
        if events:
            self._banner = ", ".join(event.kind.replace("_", " ") for event in events)
            self._banner_ns = sample.record.time_ns

    def draw(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Annotated copy of an (H, W, 3) frame."""
        return self._draw(frame, None)

    def draw_end(self, frame: NDArray[np.uint8], result: EpisodeResult) -> NDArray[np.uint8]:
        """Annotated copy with the outcome across the middle."""
        return self._draw(frame, result)

    def _draw(self, frame: NDArray[np.uint8], result: EpisodeResult | None) -> NDArray[np.uint8]:
        from PIL import Image, ImageDraw

        picture = Image.fromarray(np.asarray(frame)).convert("RGB")
        width, height = picture.size
        scale = max(SMALLEST_SCALE, height / REFERENCE_HEIGHT)
        margin = round(12 * scale)
        told, bold = self._caption(self._instruction, round(20 * scale), bold=True)
        lines = _wrap(told, bold, width - 20 * margin)
        top = round((20 + 26 * len(lines) + 24) * scale)
        strip_top = height - round(STRIP_HEIGHT * scale)
        _shade(picture, (0, 0, width, top))
        _shade(picture, (0, strip_top, width, height))
        canvas = ImageDraw.Draw(picture)

        y = round(8 * scale)
        for line in lines:
            canvas.text((margin, y), line, TEXT, bold)
            y += round(26 * scale)
        y += round(5 * scale)
        label, font = self._caption(self._label, round(16 * scale))
        canvas.text((margin, y), label, MUTED, font)
        if self._sample is not None:
            self._draw_status(canvas, self._sample, width - margin, scale)
            strip_end = height - round(LEGEND_HEIGHT * scale) - margin // 2
            box = (margin, strip_top + round(30 * scale), width - margin, strip_end)
            self._draw_queue_text(canvas, self._sample, strip_top + round(6 * scale), box, scale)
            self._strip.draw(canvas, box)
            middle = height - round(LEGEND_HEIGHT * scale) / 2 - margin // 4
            draw_legend(canvas, margin, middle, width - margin, round(13 * scale))
        if result is not None:
            self._draw_outcome(canvas, result, picture, scale)
        elif self._announcing():
            text = f"event: {self._banner}"
            at = (width / 2, top + round(22 * scale))
            self._plate(canvas, at, text, round(20 * scale), PANEL, EVENT)
        return np.asarray(picture)

    def _announcing(self) -> bool:
        if self._sample is None or not self._banner:
            return False
        return self._sample.record.time_ns - self._banner_ns < BANNER_S * NS_PER_S

    def _draw_status(
        self, canvas: ImageDraw.ImageDraw, sample: TickSample, right: int, scale: float
    ) -> None:
        """Time, phase and progress at the upper right."""
        font = self._font(round(16 * scale))
        seconds = sample.record.time_ns / NS_PER_S
        canvas.text((right, 8 * scale), f"t = {seconds:5.2f} s", TEXT, font, anchor="ra")
        progress = float(sample.info.get("progress", 0.0))
        text = f"{sample.info.get('phase', '')}  {100 * progress:3.0f} %".strip()
        canvas.text((right, 30 * scale), text, MUTED, font, anchor="ra")

    def _draw_queue_text(
        self,
        canvas: ImageDraw.ImageDraw,
        sample: TickSample,
        y: int,
        box: tuple[int, int, int, int],
        scale: float,
    ) -> None:
        """One line above the strip: chunk and row on the left, age bar on the right."""
        record = sample.record
        font = self._font(round(15 * scale))
        if record.hold:
            canvas.text((box[0], y), "holding: no action", ALARM_TEXT, font)
        else:
            text = f"chunk {record.chunk_id}  row {record.index}  queue {record.queue}"
            canvas.text((box[0], y), text, TEXT, font)
        age_s = max(0, record.age_ticks) / self._hz
        bar = (round(box[2] - 150 * scale), y + round(3 * scale), box[2], y + round(15 * scale))
        label = "action age      –" if record.hold else f"action age {1e3 * age_s:4.0f} ms"
        canvas.text((bar[0] - round(8 * scale), y), label, TEXT, font, anchor="ra")
        canvas.rectangle(bar, outline=MUTED)
        share = 0.0 if record.hold else min(1.0, age_s / FULL_AGE_S)
        if share > 0:
            end = bar[0] + share * (bar[2] - bar[0])
            canvas.rectangle((bar[0], bar[1], end, bar[3]), ALARM if share > 0.75 else TEXT)

    def _draw_outcome(
        self,
        canvas: ImageDraw.ImageDraw,
        result: EpisodeResult,
        picture: Image.Image,
        scale: float,
    ) -> None:
        text = f"{result.outcome}  {result.duration_s:.1f} s  {100 * result.progress:.0f} %"
        colour = OUTCOME_COLOURS.get(result.outcome, MUTED)
        at = (picture.width / 2, picture.height / 2)
        self._plate(canvas, at, text, round(34 * scale), TEXT, colour)

    def _plate(
        self,
        canvas: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        size: int,
        ink: Rgb,
        plate: Rgb,
    ) -> None:
        """Text on a coloured plate, centred at ``at``."""
        text, font = self._caption(text, size, bold=True)
        x0, y0, x1, y1 = canvas.textbbox(at, text, font, anchor="mm")
        pad = size // 2
        canvas.rounded_rectangle((x0 - pad, y0 - pad // 2, x1 + pad, y1 + pad // 2), pad, plate)
        canvas.text(at, text, ink, font, anchor="mm")

    def _caption(self, text: str, size: int, bold: bool = False) -> tuple[str, Any]:
        """Text in letters that a font at hand has, and that font."""
        key = (text, max(8, size), bold)
        if key not in self._captions:
            self._captions[key] = caption(*key)
        return self._captions[key]

    def _font(self, size: int) -> Any:
        """The font for the overlay's own words."""
        return default_font(max(8, size), False)


def _wrap(text: str, font: Any, width: float) -> list[str]:
    """Breaks text into at most two lines of ``width`` pixels; the rest becomes an ellipsis."""
    lines: list[str] = []
    for word in _words(text, font, width):
        # Parts of a word that was too long for a line are joined without a space.
        longer = f"{lines[-1]}{word}" if lines else word.lstrip()
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        elif len(lines) < 2:
            lines.append(word.lstrip())
        else:
            lines[-1] += " …"
            break
    return lines or [""]


def _words(text: str, font: Any, width: float) -> list[str]:
    """Words with the space before them; one too long for a line (as in Chinese) comes in parts."""
    parts: list[str] = []
    for word in text.split():
        if font.getlength(word) <= width:
            parts.append(f" {word}")
        else:
            parts += [f" {word[0]}", *word[1:]]
    return parts


def _shade(picture: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Darkens a region so that text on it can be read."""
    from PIL import Image

    region = picture.crop(box)
    panel = Image.new("RGB", region.size, PANEL)
    picture.paste(Image.blend(region, panel, PANEL_OPACITY / 255), box)
