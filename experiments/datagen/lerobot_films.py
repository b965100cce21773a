"""The films of one episode of a LeRobotDataset, and the folder that holds it while it grows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.statistics import SHADES, shade_counts
from xr0_sim.errors import not_written
from xr0_sim.view.encoder import Encoder

KEY_EVERY = 2
"""A key frame every second frame, as lerobot 0.6.1 encodes: its readers take single frames."""


class Films:
    """The films of an episode under way, one per camera.

    Attributes:
        shades: (3, 3, 256) how often each shade occurred so far, by camera and colour.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._encoders = encoders
        self.shades = np.zeros((len(CAMERAS), 3, SHADES), dtype=np.int64)

    def write(self, views: Sequence[NDArray[np.uint8]]) -> None:
        """Adds one frame to each; ``views`` (H, W, 3) are in the order of `CAMERAS`."""
        for place, (encoder, view) in enumerate(zip(self._encoders, views, strict=True)):
            encoder.write(view)
            self.shades[place] += shade_counts(view)


@contextmanager
def films(folder: Path, side: int, name: Path) -> Iterator[Films]:
    """Films of square pictures; all are complete when the block has ended.

    Args:
        folder: Where they are written.
        side: Side of the pictures [px], even.
        name: What errors call the folder.
    """
    encoders: list[Encoder] = []
    try:
        for key in layout.video_keys():
            film = folder / f"{key}.mp4"
            encoders.append(Encoder(film, (side, side), CONTROL_HZ, name / film.name, KEY_EVERY))
        yield Films(encoders)
    except BaseException:
        for encoder in encoders:
            encoder.stop()
        raise
    for encoder in encoders:
        encoder.close()


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Gives a neighbouring folder to fill, which gets its name on success and else goes."""
    partial = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            os.rename(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise not_written(folder, error) from error
