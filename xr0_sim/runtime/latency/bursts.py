"""Latencies that come in bursts, at random or on a schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.runtime.latency.base import LatencyContext, check_seconds


@dataclass(frozen=True)
class MarkovBursts(CheckedFields):
    """Two states, calm and burst, that change from inference to inference (Gilbert's channel).

    In the long run ``enter / (enter + leave)`` of the inferences are in a burst; one lasts
    ``1 / leave`` of them on average.

    Attributes:
        calm_s: Latency while it is calm [s].
        burst_s: Latency in a burst [s].
        enter: Probability that a burst begins with the next inference.
        leave: Probability that it ends with the next one.
    """

    calm_s: float = 0.08
    burst_s: float = 0.3
    enter: float = 0.05
    leave: float = 0.4

    def __post_init__(self) -> None:
        """Rejects bursts that are no longer than calm, and what is no probability."""
        check_seconds("calm_s", self.calm_s)
        check_seconds("burst_s", self.burst_s)
        if self.burst_s <= self.calm_s:
            raise ConfigError(
                f"latency burst_s: expected more than calm_s, {self.calm_s}, got {self.burst_s}"
            )
        if not (0 <= self.enter <= 1 and 0 <= self.leave <= 1):
            raise ConfigError(
                "latency enter and leave: expected probabilities in 0..1, got "
                f"{self.enter} and {self.leave}"
            )

    @property
    def label(self) -> str:
        """For example ``80 ms, bursts of 300 ms``."""
        return f"{self.calm_s * 1e3:g} ms, bursts of {self.burst_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The latency of the state after the one of the inference before [s]."""
        burst = context.previous_s is not None and context.previous_s >= self.burst_s
        changes = rng.random() < (self.leave if burst else self.enter)
        return self.burst_s if burst != changes else self.calm_s


@dataclass(frozen=True)
class Spikes(CheckedFields):
    """Single inferences take much longer, on a schedule.

    Attributes:
        latency_s: Of the others [s].
        spike_s: Of a spike [s].
        first: Number of the first one that spikes, from 0.
        every: Inferences from one spike to the next; 0 for no further one.
        length: Spikes in a row.
    """

    latency_s: float = 0.08
    spike_s: float = 0.7
    first: int = 0
    every: int = 0
    length: int = 1

    def __post_init__(self) -> None:
        """Rejects schedules that overlap or never begin."""
        check_seconds("latency_s", self.latency_s)
        check_seconds("spike_s", self.spike_s)
        if self.first < 0 or self.length < 1 or self.every < 0:
            raise ConfigError(
                "latency spikes: expected first >= 0, every >= 0 and length >= 1, got "
                f"{self.first}, {self.every} and {self.length}"
            )
        if self.every and self.length >= self.every:
            raise ConfigError(
                f"latency length: expected fewer than every, {self.every}, got {self.length}"
            )

    @property
    def label(self) -> str:
        """For example ``80 ms, spikes of 700 ms``."""
        return f"{self.latency_s * 1e3:g} ms, spikes of {self.spike_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The spike where the schedule has one [s]."""
        since = context.number - self.first
        if self.every:
            since = since % self.every if since >= 0 else since
        return self.spike_s if 0 <= since < self.length else self.latency_s
