"""Chunks that overlap share their sampling noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xr0_sim.runtime.strategies.base import DEFAULT_EXECUTION_HORIZON, TimeAligned
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import ChunkRequest, Observation


@dataclass(frozen=True)
class SharedNoise(TimeAligned):
    """`NaiveAsync`, but the noise belongs to the tick, not to the inference.

    A new chunk starts from the noise of the old one, moved up by the rows that were executed, with
    fresh noise behind. Two chunks of one scene then choose the same of several ways, and their
    difference is what the pictures changed. At noise temperature 0 it is `NaiveAsync`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tick_noise"})

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON

    @property
    def label(self) -> str:
        """For example ``shared noise T_e=10``."""
        return f"shared noise T_e={self.execution_horizon}"

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """Noise by tick."""
        return ChunkRequest(observation, noise="tick")
