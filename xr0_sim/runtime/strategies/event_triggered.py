"""Infer again as soon as the pictures leave what the last inference saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.runtime.strategies.base import Situation, TimeAligned, executed

BLOCK = 8
"""Side of the squares whose means are compared [px]: finer noise averages out."""
GREY_LEVELS = 12.0
"""Change of a square's mean that counts, of 255; chosen."""


def picture_change(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """Share of `BLOCK` x `BLOCK` squares whose mean grey level differs, 0 .. 1.

    Args:
        before: (H, W, 3) picture.
        now: Another one of the same size.
    """
    if before.shape != now.shape:
        raise ConfigError(
            f"picture change: expected pictures of one size, got {before.shape} and {now.shape}"
        )
    height, width = (side // BLOCK for side in before.shape[:2])
    part = slice(height * BLOCK), slice(width * BLOCK)
    # Whole numbers: exact, and sums of eight rows fit 16 bits.
    change = np.subtract(now[part], before[part], dtype=np.int16)
    columns = np.add.reduce(change.reshape(height, BLOCK, -1), axis=1)
    squares = np.add.reduce(columns.reshape(height, width, -1), axis=2, dtype=np.int32)
    counts = np.abs(squares) > GREY_LEVELS * change.size / max(1, squares.size)
    return float(counts.mean())


@dataclass(frozen=True)
class EventTriggered(TimeAligned):
    """`NaiveAsync`, but a change of the pictures starts an inference before its turn.

    ::

        tick     k-3  k-2  k-1   k  k+1  k+2
        change   .02  .03  .21                     threshold 0.2
        old       4    5    6    7    8    9
        new                      1    2    3       d = 1, T_e = 20: captured at k-1 instead of k+12

    The robot's own motion changes the pictures too, so the threshold has to lie above what it does
    in ``execution_horizon`` ticks: `xr0-sim bench change` measures both and counts false alarms.
    In block dismantling the arms change more of the base view than a shoved stack does, so that
    such a threshold sees no shove (``experiments/LOG.md``). The strategy looks in every tick, and
    pays for the pictures.

    Attributes:
        execution_horizon: T_e where nothing happens.
        threshold: Share of changed squares, see `picture_change`; chosen by `bench change` for
            block dismantling.
        camera: The view that is watched.
        least_rows: Rows of a chunk that are executed before a change may end it.
    """

    execution_horizon: int = 20
    threshold: float = 0.53
    camera: str = CAMERAS[0]
    least_rows: int = 2

    def __post_init__(self) -> None:
        """Rejects thresholds that nothing or everything passes, and unknown cameras."""
        if not 0 < self.threshold <= 1 or self.least_rows < 0:
            raise ConfigError(
                "event_triggered: expected threshold in (0, 1] and least_rows >= 0, got "
                f"{self.threshold} and {self.least_rows}"
            )
        if self.camera not in CAMERAS:
            raise unknown_name("camera", self.camera, CAMERAS)

    @property
    def label(self) -> str:
        """For example ``event triggered T_e=20 at 0.53``."""
        return f"event triggered T_e={self.execution_horizon} at {self.threshold:g}"

    def due(self, situation: Situation) -> bool:
        """After ``execution_horizon`` rows, when starved, or when the picture has changed."""
        if executed(situation.timeline, situation.tick, self.execution_horizon):
            return True
        last = situation.last
        if last is None or not executed(situation.timeline, situation.tick, self.least_rows):
            return False
        pictures = [last.images.get(self.camera), situation.observe().images.get(self.camera)]
        if pictures[0] is None or pictures[1] is None:
            raise ConfigError(
                f"event_triggered: expected pictures of {self.camera}, got none; it needs a policy "
                "that looks, such as --policy xr0"
            )
        return picture_change(pictures[0], pictures[1]) > self.threshold
