"""Inpaint the new chunk around the running one: real-time chunking by guidance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import DEFAULT_EXECUTION_HORIZON, TimeAligned
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import ChunkRequest, Guide, Observation

SCHEDULES = ("exp", "linear", "ones", "zeros")


def guide_weights(rows: int, frozen: int, horizon: int, schedule: str) -> NDArray[np.float64]:
    """How much each of the first ``rows`` rows of a chunk is held to the running plan, (rows,).

    1 for the ``frozen`` rows that will have been executed on arrival, then falling to nothing
    where the running plan ends: linearly, exponentially as in arXiv 2506.07339, or not at all.

    Args:
        rows: Rows that the running plan covers.
        frozen: Estimated delay [ticks].
        horizon: Rows of a chunk.
        schedule: One of `SCHEDULES`; ``zeros`` drops everything behind the frozen rows.
    """
    rows = min(rows, horizon)
    index = np.arange(rows)
    falling = np.clip((rows - index) / (rows - min(frozen, rows) + 1), 0.0, 1.0)
    soft = {
        "exp": falling * np.expm1(falling) / math.expm1(1.0),
        "linear": falling,
        "ones": np.ones(rows),
        "zeros": np.zeros(rows),
    }[schedule]
    return np.where(index < frozen, 1.0, soft)


@dataclass(frozen=True)
class Rtc(TimeAligned):
    """Infers while moving; the flow is guided towards the running plan (arXiv 2506.07339).

    ::

        tick      k  k+1  k+2  k+3  k+4  ...          k+19
        old      10   11   12   13   14  ...            29
        weight    1    1    1   .90  .83 ...           .01   estimate 3
        robot    10   11   12    3    4                      d = 3: row 3 lies near old row 13
                  ^capture       ^arrival

    Nothing has to be trained: at every Euler step the velocity is corrected by the gradient of
    the weighted distance between the chunk that the flow is heading for and the plan. Rows that
    will have been executed by the estimated arrival weigh 1, later ones less and less.

    Attributes:
        execution_horizon: T_e.
        schedule: How weights fall behind the frozen rows, one of `SCHEDULES`.
        guidance: Largest guidance weight; 5 as published. A policy whose chunk depends steeply on
            its noise needs less, or the correction overshoots: see ``experiments/LOG.md``.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"guide"})

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON
    schedule: Literal["exp", "linear", "ones", "zeros"] = "exp"
    guidance: float = 5.0

    def __post_init__(self) -> None:
        """Rejects guidance away from the plan."""
        if self.guidance < 0:
            raise ConfigError(f"rtc guidance: expected >= 0, got {self.guidance}")

    @property
    def label(self) -> str:
        """For example ``rtc T_e=10 exp 5``."""
        return f"rtc T_e={self.execution_horizon} {self.schedule} {self.guidance:g}"

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """The running plan as a guide; none where the robot stands still."""
        rows = timeline.remaining(tick)
        plan = timeline.committed(tick, rows)
        if not len(plan):
            return ChunkRequest(observation)
        weights = guide_weights(len(plan), estimated_ticks, len(plan), self.schedule)
        return ChunkRequest(observation, guide=Guide(plan, weights, self.guidance))
