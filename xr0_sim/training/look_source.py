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
    episode, source and instruction whose ticks do not fall; several of one tick are one frame with
    different prefixes. The scene may have been set back between two samples. Then either the tick
    falls, or what follows begins with what a policy had committed to: a later tick with a
    commitment begins another run too.

    Args:
        store: The samples.
        source: How they are drawn.
    """

    def __init__(self, store: ChunkStore, source: EarlierLook) -> None:
        self._source = source
        tick = store.column("tick").astype(np.int64)
        step = np.diff(tick, prepend=tick[:1])
        same = (step == 0) | (step > 0) & (store.column("committed") == 0)
        for name in ("episode_seed", "source", "instruction"):
            column = store.column(name)
            same[1:] &= column[1:] == column[:-1]
        same[[shard.start for shard in store.shards if shard.start < len(tick)]] = False
        # Shards of sights, which have no chunk, have no cached features to ask from either.
        taught = store.column("valid_steps") > 0
        same[1:] &= taught[1:] & taught[:-1]
        self._first = np.arange(len(tick))
        self._behind = np.arange(len(tick))
        """Rows that a sample may be asked from: from the first up to the one behind the last."""
        for row in np.flatnonzero(same):
            first = self._first[row - 1]
            self._first[row] = first + np.searchsorted(tick[first:row], tick[row] - source.longest)
            self._behind[row] = first + np.searchsorted(tick[first:row], tick[row])

    def draw(self, rows: NDArray[np.integer], generator: torch.Generator) -> NDArray[np.int64]:
        """Rows whose pictures are asked from.

        Args:
            rows: (F,) rows of the store.
            generator: Source of the draws.

        Returns:
            (F,) rows of the store: an earlier one, uniform among those near enough, or the same.
        """
        rows = np.asarray(rows, dtype=np.int64)
        first, count = self._first[rows], self._behind[rows] - self._first[rows]
        earlier = torch.rand(len(rows), generator=generator).numpy() < self._source.probability
        where = torch.rand(len(rows), generator=generator, dtype=torch.float64).numpy()
        return np.where(earlier & (count > 0), first + (where * count).astype(np.int64), rows)
