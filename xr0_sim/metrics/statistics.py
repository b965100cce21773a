"""Intervals and comparisons: no rate without its n, no ranking of overlapping intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from xr0_sim.errors import ConfigError

CONFIDENCE = 0.95
UNBOUNDED = (-math.inf, math.inf)
CLIPPED_FROM_N = 5
"""From this n on an interval that leaves the bounds is cut at them; below it says nothing."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; NaN where n is too small to say.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        n: Number of episodes (or pairs) behind it.
    """

    value: float
    low: float
    high: float
    n: int

    def overlaps(self, other: Interval) -> bool:
        """Whether the two may not be ranked; unknown ends overlap everything."""
        return not (self.low > other.high or other.low > self.high)


def normal_quantile(confidence: float) -> float:
    """Half-width of a central normal interval in standard deviations, e.g. 1.96 for 0.95."""
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence: expected a number in (0, 1), got {confidence}")
    return NormalDist().inv_cdf(0.5 + 0.5 * confidence)


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Rate with its Wilson score interval (Wilson 1927); informative at 0 % and 100 % too."""
    if n < 0 or not 0 <= successes <= n:
        raise ConfigError(f"rate: expected 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    z = normal_quantile(confidence)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At the two ends the exact bounds are 0 and 1; rounding must not move them.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(rate, low, high, int(n))


def _finite(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise ConfigError("mean: expected finite values, got NaN or infinity; drop them first")
    return array


def mean_interval(
    values: ArrayLike,
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Interval:
    """Mean with its t interval; deterministic, right for small n and near-normal values.

    The mean of a bounded quantity lies within its bounds. A t interval that leaves them shows that
    the values are far from normal: from n = 5 on it is cut at the bounds, which loses no coverage;
    below, n is too small to say and the ends are NaN.

    Args:
        values: Finite numbers.
        confidence: Share of such intervals that hold the true mean.
        bounds: Smallest and largest possible value.

    Raises:
        ConfigError: A value is not finite or lies outside of the bounds.
    """
    array = _finite(values)
    n = len(array)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    least, most = bounds
    if array.min() < least or array.max() > most:
        raise ConfigError(
            f"mean: expected values in [{least:g}, {most:g}], got {array.min():g} .. "
            f"{array.max():g}"
        )
    # Rounding must not move the mean of equal values beyond a bound.
    mean = float(np.clip(array.mean(), least, most))
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    from scipy.special import stdtrit  # slow to import

    quantile = float(stdtrit(n - 1, 0.5 + 0.5 * confidence))
    half = quantile * float(array.std(ddof=1)) / math.sqrt(n)
    low, high = mean - half, mean + half
    if n < CLIPPED_FROM_N and (low < least or high > most):
        return Interval(mean, math.nan, math.nan, n)
    return Interval(mean, max(low, least), min(high, most), n)


def bootstrap_interval(
    values: ArrayLike,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = 4000,
) -> Interval:
    """Mean with its percentile bootstrap interval, for skewed values and n of 20 or more."""
    array = _finite(values)
    n = len(array)
    if n < 2:
        return mean_interval(array, confidence)
    means = array[rng.integers(0, n, size=(resamples, n))].mean(axis=1)
    low, high = np.quantile(means, [0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence])
    return Interval(float(array.mean()), float(low), float(high), n)


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Interval:
    """Mean of ``first - second`` over episodes of equal seed, with its t interval.

    Args:
        first: One value per shared seed.
        second: The same of the other condition.
        confidence: See `mean_interval`.
        bounds: Smallest and largest possible value of either; their distance bounds differences.
    """
    a, b = _finite(first), _finite(second)
    if len(a) != len(b):
        raise ConfigError(
            f"paired difference: expected one value per shared seed, got {len(a)} and {len(b)}"
        )
    width = bounds[1] - bounds[0]
    return mean_interval(np.clip(a - b, -width, width), confidence, (-width, width))


def paired_rate_difference(
    first: Sequence[bool], second: Sequence[bool], confidence: float = CONFIDENCE
) -> Interval:
    """Difference of two success rates over episodes of equal seed.

    Agresti and Min (2005): half an episode is added to each cell of the 2 x 2 table, so the
    interval has a width even if every pair agrees. The value is the plain difference.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ConfigError(
            f"paired rates: expected one value per shared seed, got {a.shape} and {b.shape}"
        )
    n = len(a)
    if n == 0:
        return Interval(math.nan, -1.0, 1.0, 0)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    adj_a, adj_b, adj_n = only_a + 0.5, only_b + 0.5, n + 2.0
    centre = (adj_a - adj_b) / adj_n
    spread = math.sqrt(adj_a + adj_b - (adj_a - adj_b) ** 2 / adj_n) / adj_n
    half = normal_quantile(confidence) * spread
    return Interval((only_a - only_b) / n, max(-1.0, centre - half), min(1.0, centre + half), n)


@dataclass(frozen=True)
class KsResult:
    """Two-sample Kolmogorov-Smirnov test: greatest distance of the CDFs and its p-value."""

    statistic: float
    p_value: float


def ks_two_sample(first: ArrayLike, second: ArrayLike) -> KsResult:
    """Do two samples come from one distribution? Infinite values (never happened) are allowed.

    The p-value is the Kolmogorov series with Stephens' (1970) finite-n correction.
    """
    a, b = (np.sort(np.asarray(x, dtype=np.float64).ravel()) for x in (first, second))
    if len(a) == 0 or len(b) == 0 or np.isnan(a).any() or np.isnan(b).any():
        raise ConfigError(f"KS test: expected two samples without NaN, got n = {len(a)}, {len(b)}")
    points = np.concatenate([a, b])
    cdf_a = np.searchsorted(a, points, side="right") / len(a)
    cdf_b = np.searchsorted(b, points, side="right") / len(b)
    distance = float(np.abs(cdf_a - cdf_b).max())
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series converges slowly there and its sum is 1 to ten digits
        return KsResult(distance, 1.0)
    terms = [(-1) ** (j - 1) * math.exp(-2 * (j * scaled) ** 2) for j in range(1, 101)]
    return KsResult(distance, min(1.0, max(0.0, 2 * math.fsum(terms))))


def n_to_separate(
    rate_a: float, rate_b: float, confidence: float = CONFIDENCE, limit: int = 10_000_000
) -> int | None:
    """Episodes per cell at which the Wilson intervals of two rates would stop overlapping.

    Returns:
        The smallest such n if the observed rates were the true ones; None if even ``limit``
        would not do, in particular for equal rates.
    """

    def separate(n: int) -> bool:
        a, b = wilson(rate_a * n, n, confidence), wilson(rate_b * n, n, confidence)
        return not a.overlaps(b)

    if not separate(limit):
        return None
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if separate(middle) else (middle, high)
    return high
