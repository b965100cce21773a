"""When to start an inference, what to condition it on, and where its chunk goes on arrival.

A strategy is a frozen config without state of its own: everything it needs is in the timeline.
In the pictures k is the capture tick, d the delay in ticks, T_e = ``execution_horizon``; a row of
digits is the row index of the chunk that supplies the tick, ``.`` is a held tick.

All strategies start an inference when the running chunk has ``execution_horizon`` rows behind it,
so at delay 0 they capture in the same ticks. A chunk captured while the robot stood still with
nothing committed (the first of an episode, or after starvation) starts from its row 0 on arrival:
nothing was executed meanwhile, so no row is in the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.timeline import Timeline

DEFAULT_EXECUTION_HORIZON = 10
"""Default T_e: executed rows of a chunk before the next inference starts."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk that has just arrived, as its strategy sees it.

    Attributes:
        tick: Tick of the arrival.
        capture_tick: Tick of the observation.
        prefix_steps: Length of the prefix the chunk was conditioned on.
        standstill: Nothing was committed at the capture; the robot held ever since.
    """

    tick: int
    capture_tick: int
    prefix_steps: int
    standstill: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an arriving chunk goes.

    Attributes:
        start_tick: Tick for which row 0 is due; rows before the arrival are dropped.
        overrun: The delay exceeded the prefix: rows were executed that the chunk did not know of.
    """

    start_tick: int
    overrun: bool = False


class Strategy(Protocol):
    """Port of execution strategies; the executor asks only while no inference is under way."""

    @property
    def label(self) -> str:
        """Short text for captions and tables."""
        ...

    def check(self, horizon: int) -> None:
        """Raises `ConfigError` if the strategy cannot run chunks of ``horizon`` rows."""
        ...

    def due(self, timeline: Timeline, tick: int) -> bool:
        """Whether an inference starts in this tick."""
        ...

    def begin(self, timeline: Timeline, tick: int, estimated_ticks: int) -> NDArray[np.float64]:
        """Prepares the timeline for the inference that starts now; returns its (n, 14) prefix."""
        ...

    def place(self, arrival: Arrival) -> Placement:
        """Says where the arriving chunk goes; it owns every tick from the arrival on."""
        ...


def check_execution_horizon(execution_horizon: int, horizon: int) -> None:
    """Rejects a T_e that a chunk of ``horizon`` rows cannot supply."""
    if not 1 <= execution_horizon <= horizon:
        raise ConfigError(
            f"execution_horizon: expected 1..{horizon} (the chunk length), got {execution_horizon}"
        )


def executed(timeline: Timeline, tick: int, execution_horizon: int) -> bool:
    """Whether T_e rows of the running chunk lie behind ``tick``, or it is starved."""
    index = timeline.next_index(tick)
    return index is None or index >= execution_horizon
