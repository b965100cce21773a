"""Small pictures in the lower corners of a film: what the wrist cameras see."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from xr0_sim.view.fonts import default_font
from xr0_sim.view.overlay import REFERENCE_HEIGHT, STRIP_HEIGHT
from xr0_sim.view.palette import MUTED, PANEL, TEXT

Frame = NDArray[np.uint8]

SIDE = 168
"""Side of an inset in a film of `REFERENCE_HEIGHT` lines [px]."""
SMALLEST_SIDE = 48
"""Insets that would be smaller [px] are left out."""
MARGIN = 10


class Insets:
    """A film's picture with the newest camera pictures in its lower corners.

    Args:
        scene: Draws the (H, W, 3) picture of the film.
        pictures: Camera name -> (S, S, 3) uint8, as the policy gets them.
        left: Camera shown at the left.
        right: Camera shown at the right.
    """

    def __init__(
        self,
        scene: Callable[[], Frame | None],
        pictures: Callable[[], Mapping[str, Frame]],
        left: str = "left_wrist",
        right: str = "right_wrist",
    ) -> None:
        self._scene, self._pictures = scene, pictures
        self._left, self._right = left, right

    def __call__(self) -> Frame | None:
        """The present picture; None where there is none."""
        frame = self._scene()
        if frame is None:
            return None
        pictures = self._pictures()
        return with_insets(frame, pictures.get(self._left), pictures.get(self._right))


def with_insets(frame: Frame, left: Frame | None, right: Frame | None) -> Frame:
    """Copy of a frame (H, W, 3) with square pictures in its corners, above the chunk strip."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(frame)
    scale = picture.height / REFERENCE_HEIGHT
    side, margin = round(SIDE * scale), round(MARGIN * scale)
    top = picture.height - round(STRIP_HEIGHT * scale) - margin - side
    if side < SMALLEST_SIDE or 2 * (side + margin) > picture.width:
        return frame
    canvas = ImageDraw.Draw(picture)
    font = default_font(max(8, round(13 * scale)), False)
    places = ((left, margin, "left wrist"), (right, picture.width - margin - side, "right wrist"))
    for view, x, words in places:
        if view is None:
            continue
        small = Image.fromarray(view).resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(small, (x, top))
        line = round(18 * scale)
        canvas.rectangle((x, top, x + side - 1, top + line), fill=PANEL)
        canvas.text((x + margin // 2, top + line // 2), words, TEXT, font, anchor="lm")
        canvas.rectangle((x - 1, top - 1, x + side, top + side), outline=MUTED)
    return np.asarray(picture)
