"""Plan from where the robot will be: future-state awareness by the estimated delay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xr0_sim.runtime.strategies.base import (
    DEFAULT_EXECUTION_HORIZON,
    Arrival,
    Placement,
    TimeAligned,
)
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import ChunkRequest, Observation


@dataclass(frozen=True)
class RollForward(TimeAligned):
    """The model sees the pictures of now and the body of the *estimated* arrival (VLASH's idea).

    ::

        tick      k  k+1  k+2  k+3  k+4  k+5
        old      10   11   12  (13)
        assumed  10   11   12                   estimate 3: the body after row 12 is given
        new                      0    1    2
        robot    10   11   12    0    1    2    d = 3
                  ^capture       ^arrival

    The robot is rolled along the actions that the running chunk commits for the estimated delay
    (arXiv 2512.01031); the true one is never used. A chunk that arrives later than estimated
    starts behind its first rows, one that arrives earlier waits. Head ``rolled`` was trained with
    pictures older than its body; one trained without latency can be asked too, and fails.
    """

    head: ClassVar[str] = "rolled"
    other_heads: ClassVar[tuple[str, ...]] = ("sync",)
    needs: ClassVar[frozenset[str]] = frozenset({"roll_forward"})

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON

    @property
    def label(self) -> str:
        """For example ``roll forward T_e=10``."""
        return f"roll forward T_e={self.execution_horizon}"

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """Assumes the committed actions; where they end, the last one is held."""
        rows = timeline.committed(tick, estimated_ticks)
        if not len(rows):
            return ChunkRequest(observation)
        held = np.repeat(rows[-1:], estimated_ticks - len(rows), axis=0)
        return ChunkRequest(observation, assumed=np.concatenate([rows, held]))

    def place(self, arrival: Arrival) -> Placement | None:
        """Row 0 at the estimated arrival; on arrival if the robot stood still."""
        if not arrival.newest:
            return None
        if arrival.standstill:
            return Placement(arrival.tick)
        start = arrival.capture_tick + arrival.estimated_ticks
        return Placement(start, overrun=arrival.tick > start)
