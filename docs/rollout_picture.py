"""Draws the README's pictures of two episodes from the films of a run.

::

    xr0-sim rollout --strategy prefix_async --head prefix --episodes 2 --seed 42005 \
        --max-seconds 25 --size 960x720 --no-insets --out out/picture
    python docs/rollout_picture.py out/picture assets/pictures/rollout.png

    xr0-sim rollout --env towel_folding --strategy prefix_async --head prefix_lambda --episodes 2 \
        --seed 56004 --max-seconds 20 --size 960x720 --no-insets --out out/towel_picture
    python docs/rollout_picture.py out/towel_picture assets/pictures/towel.png 0.8 2.5 4
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

CROP = (slice(136, 576), slice(100, 860))
"""Rows and columns of a 960 x 720 frame around the table's middle, between the two bands."""
STRIP = (slice(582, 720), slice(0, 960))
"""The queue strip with its legend."""
MOMENTS_S = (0.9, 1.6, 8.0)
"""Of the frames shown if none are given; the last frame stands behind them."""
WIDTH = 1400
INK, PAPER = (30, 30, 34), (255, 255, 255)


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that ships with matplotlib."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def moments(film: Path, fps: int, seconds: Sequence[float]) -> list[np.ndarray]:
    """Frames of a film at these times, and its last one."""
    frames = iio.imread(film)
    last = len(frames) - fps - 1  # the end card takes a second
    return [frames[min(int(t * fps), last)] for t in seconds] + [frames[last]]


def scaled(frame: np.ndarray, width: int) -> Image.Image:
    """A picture of a given width."""
    height = round(frame.shape[0] * width / frame.shape[1])
    return Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)


def main(run: Path, target: Path, seconds: Sequence[float] = MOMENTS_S) -> None:
    """Draws one row an episode, and the chunk strip of the first with its legend."""
    rows = [json.loads(line) for line in (run / "episodes.jsonl").read_text().split("\n") if line]
    parts: list[Image.Image] = []
    strip = None
    for row in sorted(rows, key=lambda row: row["seed"]):
        frames = moments(run / "videos" / row["video"], 15, seconds)
        strip = frames[1][STRIP] if strip is None else strip
        words = f"seed {row['seed']}: {row['outcome']} after {row['figures']['duration_s']:.1f} s"
        parts += [line(words, 22), scaled(np.concatenate([f[CROP] for f in frames], 1), WIDTH)]
    assert strip is not None
    parts.append(scaled(strip, WIDTH))
    sheet = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), PAPER)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    sheet.quantize(256).save(target, optimize=True)


def line(text: str, size: int) -> Image.Image:
    """A line of text on paper."""
    picture = Image.new("RGB", (WIDTH, size + 12), PAPER)
    ImageDraw.Draw(picture).text((6, 4), text, INK, font(size))
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [float(t) for t in sys.argv[3:]] or MOMENTS_S)
