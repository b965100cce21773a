"""The estimate of one outcome in one condition, with the interval that fits it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.study.effects_outcomes import Outcome
from experiments.study.effects_pairing import Pairing
from xr0_sim.metrics.contrast import contrast
from xr0_sim.metrics.median import median_interval
from xr0_sim.metrics.sequential import mean_sequence, rate_sequence
from xr0_sim.metrics.statistics import Interval, mean_interval, wilson

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Estimate:
    """An estimate in the outcome's own unit.

    Attributes:
        interval: Rate, mean, restricted mean, or median of reactions; ``n`` counts episodes.
        censored: Reactions that did not come, and count as slower than all others.
        method: Kind of interval.
    """

    interval: Interval
    censored: int
    method: str


def estimate(
    pairing: Pairing,
    outcome: Outcome,
    condition: int,
    *,
    sequential: bool = False,
    rng: np.random.Generator | None = None,
) -> Estimate:
    """Estimates an outcome from the valid rows of one condition.

    Args:
        pairing: The study's pairing.
        outcome: What to estimate.
        condition: Index of the condition in the pairing.
        sequential: Whether the number of seeds was chosen by looking, see `effects_sequential`.
        rng: Source of the cluster bootstrap; needed with several trainings.
    """
    values = pairing.values_of(outcome, condition)
    if outcome.by_median:
        never = int(np.isinf(values).sum())
        return Estimate(median_interval(values), never, "median, order statistics")
    if sequential and (found := _sequence(outcome, values)) is not None:
        return found
    if len(pairing.trainings) > 1 and len(values) > 1:
        return Estimate(_clustered(pairing, outcome, condition, rng), 0, "cluster bootstrap")
    if outcome.kind == "rate":
        return Estimate(wilson(int(values.sum()), len(values)), 0, "Wilson")
    return Estimate(mean_interval(values, bounds=_holding(outcome, values)), 0, "t")


def _holding(outcome: Outcome, values: np.ndarray) -> tuple[float, float]:
    """The outcome's bounds, widened where a value of an older file lies outside."""
    low, high = outcome.bounds
    return min([low, *values]), max([high, *values])


def _sequence(outcome: Outcome, values: np.ndarray) -> Estimate | None:
    if outcome.kind == "rate":
        found = rate_sequence(int(values.sum()), len(values))
        return Estimate(found, 0, "beta-binomial confidence sequence")
    if math.isfinite(outcome.span):
        found = mean_sequence(values, outcome.bounds)
        return Estimate(found, 0, "betting confidence sequence")
    return None


def _clustered(
    pairing: Pairing, outcome: Outcome, condition: int, rng: np.random.Generator | None
) -> Interval:
    """Cluster bootstrap over trainings and seeds; a rate's is never narrower than Wilson's."""
    cube = pairing.cube(outcome.values(pairing.frame))[..., [condition]]
    found = contrast(cube, rng=rng)
    low, high = outcome.bounds
    half = found.quantile() * found.spread
    ends = max(low, found.value - half), min(high, found.value + half)
    if outcome.kind == "rate":
        plain = wilson(float(np.nansum(cube)), int(np.isfinite(cube).sum()))
        ends = min(ends[0], plain.low), max(ends[1], plain.high)
    return Interval(found.value, *ends, found.pairs)
