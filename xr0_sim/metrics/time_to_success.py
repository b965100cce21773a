"""How fast a task is solved when not every episode solves it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import Interval, KsResult, ks_two_sample, mean_interval


@dataclass(frozen=True)
class SuccessCurve:
    """Share of episodes solved by a time.

    Attributes:
        times_s: (M,) increasing times at which the share rises [s].
        share: (M,) share of all episodes solved by then.
    """

    times_s: NDArray[np.float64]
    share: NDArray[np.float64]


def _as_times(times_s: Sequence[float | None]) -> NDArray[np.float64]:
    times = np.array([math.inf if t is None else t for t in times_s], dtype=np.float64)
    if np.isnan(times).any() or (times < 0).any():
        raise ConfigError("time to success: expected seconds >= 0 or None for a failure, got NaN")
    return times


def restricted_mean(times_s: Sequence[float | None], limit_s: float) -> Interval:
    """Mean of min(time to success, limit): a failed episode counts as the whole limit.

    Args:
        times_s: Time to success per episode [s]; None for a failure.
        limit_s: Common time limit [s].
    """
    return mean_interval(np.minimum(_as_times(times_s), limit_s))


def success_curve(times_s: Sequence[float | None]) -> SuccessCurve:
    """Empirical CDF of the time to success; it ends at the success rate."""
    times = _as_times(times_s)
    solved, counts = np.unique(times[np.isfinite(times)], return_counts=True)
    return SuccessCurve(solved, np.cumsum(counts) / max(1, len(times)))


def compare_times(first: Sequence[float | None], second: Sequence[float | None]) -> KsResult:
    """KS test between two conditions; failures count as never."""
    return ks_two_sample(_as_times(first), _as_times(second))
