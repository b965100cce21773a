"""Quantiles of Student's t distribution from its incomplete-beta form (no scipy)."""

from __future__ import annotations

import functools
import math

from xr0_sim.errors import ConfigError


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) by its continued fraction.

    Source: NIST DLMF 8.17.22, evaluated with the modified Lentz method; converges fast for
    x < (a + 1) / (a + b + 2), the other side follows from I_x(a, b) = 1 - I_{1-x}(b, a).
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(400):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        lower = 1.0 / (1.0 + term * lower or tiny)
        upper = 1.0 + term / upper or tiny
        value *= upper * lower
        if step and abs(upper * lower - 1.0) < 1e-14:
            break
    return math.exp(log_front) * (value - 1.0) / a


def t_cdf(t: float, dof: float) -> float:
    """P(T <= t) with ``dof`` degrees of freedom."""
    tail = 0.5 * incomplete_beta(0.5 * dof, 0.5, dof / (dof + t * t))
    return 1.0 - tail if t >= 0 else tail


@functools.cache
def t_quantile(probability: float, dof: int) -> float:
    """The t with ``t_cdf(t, dof) == probability``, by bisection."""
    if not 0.0 < probability < 1.0 or dof < 1:
        raise ConfigError(
            f"t quantile: expected 0 < probability < 1 and dof >= 1, got {probability}, {dof}"
        )
    if probability < 0.5:
        return -t_quantile(1.0 - probability, dof)
    low, high = 0.0, 1.0
    while t_cdf(high, dof) < probability:
        high *= 2.0
    while high - low > 1e-12 * max(1.0, high):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if t_cdf(middle, dof) < probability else (low, middle)
    return 0.5 * (low + high)
