"""Median of times of which some never came."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import CONFIDENCE, Interval


def median_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Median with its distribution-free interval between two order statistics.

    The interval is that of the sign test (Conover 1999, section 3.2): it covers at least the asked
    share for any continuous distribution. Censored values are infinite and slower than all others.

    Args:
        values: Numbers, infinite where censored.
        confidence: Share of such intervals that hold the true median.

    Returns:
        Infinite value or upper end where censoring hides them; NaN ends where n is too small,
        below 6 for 95 %.
    """
    from scipy.stats import binom

    array = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if np.isnan(array).any():
        raise ConfigError("median: expected numbers, infinite where censored, got NaN")
    n = len(array)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    middle = float(0.5 * (array[(n - 1) // 2] + array[n // 2]))
    outside = int(binom.ppf(0.5 * (1.0 - confidence), n, 0.5))
    # The k-th smallest and k-th largest miss the median with probability 2 P(X < k).
    k = outside if 2 * binom.cdf(outside - 1, n, 0.5) <= 1.0 - confidence else outside - 1
    if k < 1:
        return Interval(middle, math.nan, math.nan, n)
    return Interval(middle, float(array[k - 1]), float(array[n - k]), n)
