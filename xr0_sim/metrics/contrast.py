"""Mean of paired differences over seeds, contexts and trainings, with its interval.

A *block* is one context in which conditions are compared (all other factors held); a contrast is
the plain average of its blocks' means. All blocks of one seed share a scene and its noise, so
seeds are the independent units: the variance is that of the seeds' summed contributions, as in a
cluster-robust regression (Liang and Zeger 1986) with the factor n / (n - 1). With one block this is
the paired t interval.

Differences of booleans get the pseudo-observations of Agresti and Min (2005) in every block, so
the interval has a width even if every pair agrees.

Several trainings of one recipe are a second, crossed kind of unit. Trainings and seeds are both
drawn again with replacement (the pigeonhole bootstrap of Owen 2007, which does not understate the
variance of crossed units); with the usual two to five trainings its spread is then widened to the
unbiased one and used with Student's t of Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import CONFIDENCE, Interval, normal_quantile

RESAMPLES = 1000
"""Draws of the cluster bootstrap (chosen): its spread is then known to about 2 %."""


@dataclass(frozen=True)
class Contrast:
    """A mean difference and what its interval is made of.

    Attributes:
        value: Average of the blocks' mean differences.
        centre: Middle of the interval; not ``value`` for booleans.
        seed_variance: Part of the variance of ``centre`` that more seeds reduce.
        training_variance: Part that only more trainings reduce; 0 with one training.
        dof: Degrees of freedom of Student's t; infinite for a normal interval.
        n: Seeds with a difference in at least one block.
        pairs: Differences behind the value, over all blocks and trainings.
        blocks: Contexts with at least one difference.
        trainings: Trainings with at least one difference.
    """

    value: float
    centre: float
    seed_variance: float
    training_variance: float
    dof: float
    n: int
    pairs: int
    blocks: int
    trainings: int

    @property
    def spread(self) -> float:
        """Standard error."""
        return math.sqrt(self.seed_variance + self.training_variance)

    def interval(self, bound: float = math.inf, confidence: float = CONFIDENCE) -> Interval:
        """Interval cut at ``-bound`` and ``bound``; NaN ends where n is too small to say."""
        if math.isnan(self.spread) or math.isnan(self.centre):
            return Interval(self.value, math.nan, math.nan, self.n)
        half = self.quantile(confidence) * self.spread
        low, high = max(-bound, self.centre - half), min(bound, self.centre + half)
        return Interval(self.value, low, high, self.n)

    def quantile(self, confidence: float = CONFIDENCE) -> float:
        """Half-width of the interval in standard errors."""
        if math.isinf(self.dof):
            return normal_quantile(confidence)
        from scipy.special import stdtrit  # slow to import

        return float(stdtrit(self.dof, 0.5 + 0.5 * confidence))

    def p_value(self) -> float:
        """Two-sided p-value of the same t or normal test; NaN where n is too small."""
        if math.isnan(self.spread):
            return math.nan
        if self.spread == 0.0:
            return 1.0 if self.centre == 0.0 else 0.0
        from scipy.special import stdtr  # slow to import

        return float(min(1.0, 2.0 * stdtr(min(self.dof, 1e12), -abs(self.centre) / self.spread)))

    def seeds_to_resolve(
        self, confidence: float = CONFIDENCE, limit: int = 10_000_000
    ) -> int | None:
        """Seeds at which the interval would just leave out zero if ``value`` were the truth.

        The spread over seeds shrinks with their number, that over trainings does not.

        Returns:
            None if no number of seeds up to ``limit`` would do.
        """
        reach = self.value**2 / self.quantile(confidence) ** 2 if self.n else 0.0
        if not reach > self.training_variance or math.isnan(self.spread):
            return None
        seeds = self.n * self.seed_variance / (reach - self.training_variance)
        return max(2, math.ceil(seeds)) if seeds <= limit else None


def contrast(
    differences: NDArray[np.float64],
    *,
    rates: bool = False,
    legs: int = 1,
    rng: np.random.Generator | None = None,
) -> Contrast:
    """Average of paired differences with seeds, and trainings if there are several, as clusters.

    Args:
        differences: (G, S, B) difference per training, seed and block; NaN where a pair is
            incomplete.
        rates: Whether the differences are those of booleans.
        legs: Paired differences in one entry: 1, or 2 for a difference of differences.
        rng: Source of the cluster bootstrap; needed where two or more trainings have a difference.

    Raises:
        ConfigError: Several trainings and no generator.
    """
    known = np.isfinite(differences)
    keep = known.any(axis=(0, 1)), known.any(axis=(1, 2)), known.any(axis=(0, 2))
    values = differences[keep[1]][:, keep[2]][:, :, keep[0]]
    known = np.isfinite(values)
    trainings, seeds, blocks = values.shape
    if not known.any():
        return Contrast(math.nan, math.nan, math.nan, 0.0, math.inf, 0, 0, 0, 0)
    filled = np.where(known, values, 0.0)
    counts = known.sum(axis=(0, 1))
    value = float((filled.sum(axis=(0, 1)) / counts).mean())
    added = 2.0 * legs if rates else 0.0
    centres = filled.sum(axis=(0, 1)) / (counts + added)
    parts = np.where(known, filled - centres, 0.0) / (counts + added) / blocks
    pseudo = float(((legs + added * centres**2) / (counts + added) ** 2).sum()) / blocks**2
    seed_variance = float((parts.sum(axis=(0, 2)) ** 2).sum())
    if rates:
        seed_variance, dof = seed_variance + pseudo, math.inf
    elif seeds < 2:
        seed_variance, dof = math.nan, 1.0
    else:
        seed_variance, dof = seed_variance * seeds / (seeds - 1), seeds - 1.0
    training_variance = 0.0
    if trainings > 1:
        if rng is None:
            raise ConfigError("contrast: expected a generator for several trainings, got none")
        shares = parts.sum(axis=(1, 2)) ** 2
        training_variance = float(shares.sum()) * trainings / (trainings - 1)
        dof = _satterthwaite((training_variance, trainings - 1), (seed_variance, seeds - 1))
        drawn = _bootstrap_variance(filled, known, rng)
        plain = training_variance * (1 - 1 / trainings) + seed_variance * (1 - 1 / seeds)
        # Rounding and the draws must not make the spread smaller than either part alone.
        widened = max(1.0, drawn / plain) if plain > 0 else 1.0
        seed_variance, training_variance = seed_variance * widened, training_variance * widened
    return Contrast(
        value,
        float(centres.mean()),
        seed_variance,
        training_variance,
        dof,
        seeds,
        int(known.sum()),
        blocks,
        trainings,
    )


def _satterthwaite(*parts: tuple[float, int]) -> float:
    """Degrees of freedom of a sum of variances, each with its own."""
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / max(1, dof) for variance, dof in parts)
    return total**2 / below if below > 0 else math.inf


def _bootstrap_variance(
    filled: NDArray[np.float64], known: NDArray[np.bool_], rng: np.random.Generator
) -> float:
    """Variance of the contrast when trainings and seeds are drawn again, both with replacement."""
    trainings, seeds, _ = filled.shape
    by_training = rng.multinomial(trainings, np.full(trainings, 1 / trainings), RESAMPLES)
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    sums = np.einsum("rg,gsb,rs->rb", by_training, filled, by_seed, optimize=True)
    counts = np.einsum("rg,gsb,rs->rb", by_training, known.astype(float), by_seed, optimize=True)
    whole = (counts > 0).all(axis=1)
    return float(np.var((sums[whole] / counts[whole]).mean(axis=1))) if whole.sum() > 1 else 0.0
