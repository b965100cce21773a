"""Exact tests for pairs, and the correction for making several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import normal_quantile


def mcnemar_exact(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided p-value that two success rates over equal seeds are the same.

    McNemar (1947) in its exact form: the pairs that disagree are a fair coin.

    Args:
        first: (n,) whether an episode succeeded.
        second: (n,) the same of the other condition.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ConfigError(f"McNemar: expected one value per shared seed, got {a.shape}, {b.shape}")
    return _fair_coin(int((a & ~b).sum()), int((b & ~a).sum()))


def sign_test(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided p-value that neither of two is the greater more often; ties say nothing.

    Infinite values (never happened) are allowed: censored times keep their rank.
    """
    a, b = (np.asarray(x, dtype=np.float64).ravel() for x in (first, second))
    if a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        raise ConfigError("sign test: expected one value per shared seed and no NaN")
    return _fair_coin(int((a > b).sum()), int((a < b).sum()))


@dataclass(frozen=True)
class SignShare:
    """How many differences are positive and how many negative.

    Attributes:
        above: Positive ones.
        below: Negative ones.
    """

    above: int
    below: int

    def seeds_to_resolve(self, confidence: float) -> int | None:
        """Differences at which the sign test would resolve this share, by its normal form.

        Returns:
            None for equal shares.
        """
        lean = abs(self.above - self.below) / max(1, self.above + self.below)
        return max(6, math.ceil((normal_quantile(confidence) / lean) ** 2)) if lean else None


def _fair_coin(heads: int, tails: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(heads, heads + tails).pvalue) if heads + tails else 1.0


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """P-values corrected for their number by Holm (1979); NaN stay NaN and count for nothing."""
    # The function of statsmodels collects garbage on every call, which takes 0.2 s.
    values = np.asarray(p_values, dtype=np.float64)
    out = np.full(len(values), math.nan)
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return out
