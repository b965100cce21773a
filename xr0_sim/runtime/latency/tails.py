"""Latencies with a floor and a tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.runtime.latency.base import LatencyContext, check_seconds


@dataclass(frozen=True)
class Normal(CheckedFields):
    """Independent normal latencies, cut off at 0.

    Attributes:
        mean_s: Before the cut [s].
        std_s: Before the cut [s].
    """

    mean_s: float
    std_s: float

    def __post_init__(self) -> None:
        """Rejects negative and non-finite figures."""
        check_seconds("mean_s", self.mean_s)
        check_seconds("std_s", self.std_s)

    @property
    def label(self) -> str:
        """For example ``normal 80 ± 5 ms``."""
        return f"normal {self.mean_s * 1e3:g} ± {self.std_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws one latency [s]."""
        return max(0.0, self.mean_s + self.std_s * rng.standard_normal())


@dataclass(frozen=True)
class GammaTail(CheckedFields):
    """A floor and, on top of it, a gamma-distributed rest: queues on a shared server.

    Attributes:
        floor_s: Least latency [s].
        tail_s: Mean of the rest [s].
        shape: Of the gamma distribution; 1 is exponential, less has a longer tail.
    """

    floor_s: float = 0.07
    tail_s: float = 0.02
    shape: float = 0.5

    def __post_init__(self) -> None:
        """Rejects negative durations and a shape that is not positive."""
        check_seconds("floor_s", self.floor_s)
        check_seconds("tail_s", self.tail_s)
        if self.shape <= 0:
            raise ConfigError(f"latency shape: expected > 0, got {self.shape}")

    @property
    def label(self) -> str:
        """For example ``70 ms + gamma 20 ms``."""
        return f"{self.floor_s * 1e3:g} ms + gamma {self.tail_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws one latency [s]."""
        return self.floor_s + self.tail_s / self.shape * rng.standard_gamma(self.shape)
