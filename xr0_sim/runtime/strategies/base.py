"""The port of execution strategies: what the executor asks and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xr0_sim.runtime.timeline import Timeline


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
