"""Which pictures a sample's chunk is asked from during post-training: a union of named choices.

`FreshLook` asks from the pictures of the sample's own tick. `EarlierLook` asks, with some
probability, from those of an earlier sample of the same episode: body, prefix and chunk are of now,
the VLM's cache is not. It is what a refresh of `xr0_sim.runtime.strategies.two_rate.TwoRate` asks
for, whose cache is as old as the last full inference that has finished.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xr0_sim.data.chunk_store import ChunkStore


@dataclass(frozen=True)
class FreshLook:
    """The pictures of the sample's own tick."""


@dataclass(frozen=True)
class EarlierLook:
    """Pictures of an earlier sample of the same episode.

    Attributes:
        probability: Share of samples, of those that have an earlier one, that are asked from it.
        longest: Most ticks between the two; 20 are 0.67 s at 30 Hz.
    """

    probability: float = 0.75
    longest: int = 20


LookSource = FreshLook | EarlierLook


class EarlierLooks:
    """The earlier samples of each sample of a store.

    Samples follow each other in a store as they were collected: a *run* are neighbours of one
    episode, source and instruction whose ticks increase. A tick that is not later begins another
    run, since the scene was set back there.

    Args:
        store: The samples.
        longest: Most ticks between a sample and an earlier one.
    """

    def __init__(self, store: ChunkStore, longest: int) -> None:
        tick = store.column("tick").astype(np.int64)
        same = np.diff(tick, prepend=tick[:1]) > 0
        for name in ("episode_seed", "source", "instruction"):
            column = store.column(name)
            same[1:] &= column[1:] == column[:-1]
        same[[shard.start for shard in store.shards if shard.start < len(tick)]] = False
        # A sample without a chunk has no cached features to ask from, nor has one after it any.
        taught = store.column("valid_steps") > 0
        same[1:] &= taught[1:] & taught[:-1]
        self._first = np.arange(len(tick))
        for row in np.flatnonzero(same):
            first = self._first[row - 1]
            self._first[row] = first + np.searchsorted(tick[first:row], tick[row] - longest)

    def draw(
        self, source: EarlierLook, rows: NDArray[np.integer], generator: torch.Generator
    ) -> NDArray[np.int64]:
        """Rows whose pictures are asked from.

        Args:
            source: The choice.
            rows: (F,) rows of the store.
            generator: Source of the draws.

        Returns:
            (F,) rows of the store: an earlier one, uniform among those near enough, or the same.
        """
        rows = np.asarray(rows, dtype=np.int64)
        earlier = torch.rand(len(rows), generator=generator).numpy() < source.probability
        where = torch.rand(len(rows), generator=generator, dtype=torch.float64).numpy()
        back = 1 + (where * (rows - self._first[rows])).astype(np.int64)
        return np.where(earlier & (self._first[rows] < rows), rows - back, rows)
