"""Latency models in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xr0_sim.conventions import NS_PER_S
from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.runtime.latency.base import LatencyContext, LatencyModel, check_seconds


@dataclass(frozen=True)
class Constant(CheckedFields):
    """Every inference takes ``latency_s`` [s]."""

    latency_s: float = 0.0

    def __post_init__(self) -> None:
        """Rejects negative and non-finite durations."""
        check_seconds("latency_s", self.latency_s)

    @property
    def label(self) -> str:
        """For example ``80 ms``."""
        return f"{self.latency_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The constant [s]."""
        return self.latency_s


@dataclass(frozen=True)
class LogNormal(CheckedFields):
    """Independent log-normal latencies with the given mean and standard deviation [s]."""

    mean_s: float
    std_s: float

    def __post_init__(self) -> None:
        """Rejects a mean that is not positive."""
        check_seconds("mean_s", self.mean_s)
        check_seconds("std_s", self.std_s)
        if self.mean_s == 0:
            raise ConfigError("latency mean_s: expected > 0, got 0; use Constant(0.0)")

    @property
    def label(self) -> str:
        """For example ``108.8 ± 2.3 ms``."""
        return f"{self.mean_s * 1e3:g} ± {self.std_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws one latency [s]; mean and deviation are matched in seconds, not in logarithms."""
        log_var = math.log1p((self.std_s / self.mean_s) ** 2)
        log_mean = math.log(self.mean_s) - 0.5 * log_var
        return math.exp(log_mean + math.sqrt(log_var) * rng.standard_normal())


@dataclass(frozen=True)
class WarmupSpike(CheckedFields):
    """The first inference of an episode takes ``first_s`` [s], the others follow ``then``."""

    first_s: float
    then: LatencyModel

    def __post_init__(self) -> None:
        """Rejects negative and non-finite durations."""
        check_seconds("first_s", self.first_s)

    @property
    def label(self) -> str:
        """For example ``700 ms, then 80 ms``."""
        return f"{self.first_s * 1e3:g} ms, then {self.then.label}"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The spike for inference 0, else a draw of ``then`` [s]."""
        return self.first_s if context.number == 0 else self.then.sample(rng, context)


@dataclass(frozen=True)
class Change(CheckedFields):
    """One latency up to a moment of the episode, another from then on: a network that gets worse.

    Attributes:
        before_s: Of inferences whose observation is captured before ``at_s`` [s].
        after_s: Of the others [s].
        at_s: Time since the start of the episode [s].
    """

    before_s: float = 0.08
    after_s: float = 0.3
    at_s: float = 3.0

    def __post_init__(self) -> None:
        """Rejects negative and non-finite durations."""
        for name in ("before_s", "after_s", "at_s"):
            check_seconds(name, getattr(self, name))

    @property
    def label(self) -> str:
        """For example ``80 ms, from 3 s on 300 ms``."""
        return f"{self.before_s * 1e3:g} ms, from {self.at_s:g} s on {self.after_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The latency in force at the capture [s]."""
        return self.before_s if context.time_ns < self.at_s * NS_PER_S else self.after_s
