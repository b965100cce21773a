"""Average what several chunks say about a tick: ACT's temporal ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import TimeAligned
from xr0_sim.runtime.timeline import Slot


@dataclass(frozen=True)
class TemporalEnsemble(TimeAligned):
    """Executes the weighted mean of all chunks that have an action for a tick (arXiv 2304.13705).

    ::

        tick     k-1   k  k+1  k+2  k+3
        chunk a   4    5    6    7    8      weight 1
        chunk b        2    3    4    5      weight e^-m
        chunk c             0    1    2      weight e^-2m
        robot     mean of each column        d = 0, T_e = 1

    Weights are ``exp(-m i)``, i = 0 for the *oldest* chunk, so a small m lets new chunks in faster.
    With a delay, a chunk counts from its arrival on.

    Attributes:
        execution_horizon: T_e: rows of a chunk before the next inference starts; 1 asks in every
            tick in which no inference is under way, as in the paper.
        decay: m; 0.01 in the paper's code.
    """

    takes_task_horizon: ClassVar[bool] = False

    execution_horizon: int = 1
    decay: float = 0.01

    def __post_init__(self) -> None:
        """Rejects weights that grow with age against the paper's order."""
        if self.decay < 0:
            raise ConfigError(f"temporal_ensemble decay: expected >= 0, got {self.decay}")

    @property
    def label(self) -> str:
        """For example ``temporal ensemble T_e=1 m=0.01``."""
        return f"temporal ensemble T_e={self.execution_horizon} m={self.decay:g}"

    def select(self, slots: tuple[Slot, ...]) -> NDArray[np.float64]:
        """Weighted mean over the chunks, oldest first."""
        weights = np.exp(-self.decay * np.arange(len(slots)))
        rows = np.stack([slot.chunk.actions[slot.index] for slot in slots])
        return weights @ rows / weights.sum()
