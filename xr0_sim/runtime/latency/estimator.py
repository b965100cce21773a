"""What the controller believes about the next delay, kept apart from what the delay will be.

All figures are whole control ticks of the delay the controller lives with, ``d_ceil``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.registry import estimators

XR0_DELAY_TICKS = 3
"""80 ms at 30 Hz, rounded up: the belief before the first measurement."""


@runtime_checkable
class DelayEstimator(Protocol):
    """Belief about the delay of the inference that is about to start; asked once per inference."""

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """Estimated delay [ticks], >= 0.

        Args:
            history: Delays of the inferences delivered so far in this episode [ticks].
            true_ticks: Delay this inference will have [ticks]; only `TrueDelay` may look.
        """
        ...


@dataclass(frozen=True)
class TrueDelay(CheckedFields):
    """Knows the delay up to a fixed error: the switch of the estimator-error ablation."""

    error_ticks: int = 0

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """True delay plus the error, not below 0."""
        return max(0, true_ticks + self.error_ticks)


@dataclass(frozen=True)
class FixedDelay(CheckedFields):
    """Always the same figure: a delay configured once, wrong by ``error_ticks``."""

    ticks: int = XR0_DELAY_TICKS
    error_ticks: int = 0

    def __post_init__(self) -> None:
        """Rejects a negative delay."""
        if self.ticks < 0:
            raise ConfigError(f"FixedDelay.ticks: expected >= 0, got {self.ticks}")

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """The configured figure plus its error, not below 0."""
        return max(0, self.ticks + self.error_ticks)


@dataclass(frozen=True)
class LastDelay(CheckedFields):
    """The delay of the previous inference."""

    initial_ticks: int = XR0_DELAY_TICKS

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """Last measured delay, or ``initial_ticks`` before the first."""
        return history[-1] if history else self.initial_ticks


@dataclass(frozen=True)
class MaxOfWindow(CheckedFields):
    """The largest of the last ``window`` delays."""

    window: int = 10
    initial_ticks: int = XR0_DELAY_TICKS

    def __post_init__(self) -> None:
        """Rejects an empty window."""
        if self.window < 1:
            raise ConfigError(f"MaxOfWindow.window: expected >= 1, got {self.window}")

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """Largest recent delay, or ``initial_ticks`` before the first."""
        return max(history[-self.window :]) if history else self.initial_ticks


@dataclass(frozen=True)
class QuantileOfWindow(CheckedFields):
    """A quantile of the last ``window`` delays, rounded up to one that occurred."""

    quantile: float = 0.95
    window: int = 40
    initial_ticks: int = XR0_DELAY_TICKS

    def __post_init__(self) -> None:
        """Rejects an empty window and what is no quantile."""
        if self.window < 1 or not 0 < self.quantile <= 1:
            raise ConfigError(
                "QuantileOfWindow: expected window >= 1 and quantile in (0, 1], got "
                f"{self.window} and {self.quantile}"
            )

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """The quantile, or ``initial_ticks`` before the first delay."""
        recent = sorted(history[-self.window :])
        if not recent:
            return self.initial_ticks
        return recent[math.ceil(self.quantile * len(recent)) - 1]


@dataclass(frozen=True)
class Conservative(CheckedFields):
    """The largest delay of the episode plus a margin; never goes down."""

    margin_ticks: int = 1
    initial_ticks: int = XR0_DELAY_TICKS

    def estimate(self, history: Sequence[int], true_ticks: int) -> int:
        """Largest delay seen, at least ``initial_ticks``, plus the margin."""
        return max([self.initial_ticks, *history]) + self.margin_ticks


estimators.add("oracle", TrueDelay, "knows the delay up to error_ticks")
estimators.add("fixed", FixedDelay, "configured once; 80 ms at 30 Hz by default")
estimators.add("last", LastDelay, "the delay of the previous inference")
estimators.add("window_max", MaxOfWindow, "the largest of the last delays")
estimators.add("p95", QuantileOfWindow, "a quantile of the last delays")
estimators.add("conservative", Conservative, "the largest delay so far plus a margin")
