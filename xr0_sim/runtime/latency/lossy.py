"""Chunks that are lost on their way: the controller waits in vain and notices after a while."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xr0_sim.fields import CheckedFields, check_range
from xr0_sim.registry import latencies
from xr0_sim.runtime.latency.base import LatencyContext, check_seconds


@dataclass(frozen=True)
class Lossy(CheckedFields):
    """Every inference takes equally long, and some chunks never arrive.

    A lost inference counts as under way until its time limit has passed; its chunk is then given
    up, and the strategy may start another.

    Attributes:
        latency_s: Of an inference whose chunk arrives [s].
        loss: Share of chunks that are lost, independently.
        timeout_s: After which a chunk is given up [s].
    """

    latency_s: float = 0.08
    loss: float = 0.1
    timeout_s: float = 0.3

    def __post_init__(self) -> None:
        """Rejects durations and shares that are none, and a limit below the latency."""
        check_seconds("latency_s", self.latency_s)
        check_seconds("timeout_s", self.timeout_s)
        check_range(self, "loss", 0.0, 1.0)
        check_range(self, "timeout_s", self.latency_s, float("inf"), "s")

    @property
    def label(self) -> str:
        """For example ``80 ms, 10 % lost``."""
        return f"{self.latency_s * 1e3:g} ms, {self.loss * 100:g} % lost"

    def lost(self, rng: np.random.Generator, context: LatencyContext) -> bool:
        """See `xr0_sim.runtime.latency.base.LosesChunks`."""
        del context
        return bool(rng.random() < self.loss)

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The latency, or the time limit of a chunk that is lost [s]."""
        return self.timeout_s if self.lost(rng, context) else self.latency_s


latencies.add("lossy", Lossy, "chunks that are lost on their way and given up after a while")
