"""Stop, infer, go on: the synchronous strategy."""

from __future__ import annotations

from dataclasses import dataclass

from xr0_sim.runtime.strategies.base import (
    DEFAULT_EXECUTION_HORIZON,
    Arrival,
    Placement,
    TimeAligned,
)
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import ChunkRequest, Observation


@dataclass(frozen=True)
class Sync(TimeAligned):
    """Executes ``execution_horizon`` rows, stops, infers, continues from row 0: the robot waits.

    ::

        tick     k-2  k-1   k  k+1  k+2  k+3  k+4
        old       8    9    |
        robot     8    9    .    .    .    0    1      d = 3, T_e = 10
                            ^capture       ^arrival

    The chunk is right for the state it finds, since the robot did not move; the world may have.
    """

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON

    @property
    def label(self) -> str:
        """For example ``sync T_e=10``."""
        return f"sync T_e={self.execution_horizon}"

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """Drops the rest of the running chunk; no prefix."""
        timeline.cut(tick)
        return ChunkRequest(observation)

    def place(self, arrival: Arrival) -> Placement:
        """Row 0 on arrival."""
        return Placement(start_tick=arrival.tick)
