"""Learning-rate schedule and the deterministic order of training data."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError

FINAL_RATE_SHARE = 0.02
"""The cosine ends at this share of the peak rate."""


def learning_rate(step: int, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return peak * (FINAL_RATE_SHARE + (1.0 - FINAL_RATE_SHARE) * cosine)


def step_rng(seed: int, *position: int) -> np.random.Generator:
    """The numpy generator of one place in a run; the same place always gives the same draws."""
    return np.random.default_rng([seed, *position])


def step_generator(seed: int, *position: int) -> torch.Generator:
    """The torch generator of one place in a run."""
    state = np.random.SeedSequence([seed, *position]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


class SampleOrder:
    """Weighted random batches that depend on nothing but the seed and the step.

    Args:
        rows: Store rows to draw from.
        weights: Relative weight of each.
        batch_size: Rows per batch.
        seed: Seed of the run.
    """

    def __init__(
        self, rows: NDArray[np.integer], weights: NDArray[np.floating], batch_size: int, seed: int
    ) -> None:
        if len(rows) == 0 or weights.min() < 0 or weights.sum() <= 0:
            raise ConfigError(
                f"sample order: expected rows with weights >= 0, got {len(rows)} rows with total "
                f"weight {float(weights.sum())}"
            )
        # Rows without weight must not even be met through rounding at the end of the sum.
        drawn = np.asarray(weights) > 0
        self._rows = np.asarray(rows)[drawn]
        self._cumulative = np.cumsum(weights[drawn], dtype=np.float64)
        self._cumulative /= self._cumulative[-1]
        self._batch_size = batch_size
        self._seed = seed

    def batch(self, step: int, micro: int) -> NDArray[np.integer]:
        """Store rows of one micro batch, drawn stratified so that few repeat."""
        rng = step_rng(self._seed, step, micro, 0)
        spots = (np.arange(self._batch_size) + rng.random(self._batch_size)) / self._batch_size
        picked = np.searchsorted(self._cumulative, (spots + rng.random()) % 1.0)
        return self._rows[np.minimum(picked, len(self._rows) - 1)]
