"""Infer while moving, without telling the model: naive asynchrony."""

from __future__ import annotations

from dataclasses import dataclass

from xr0_sim.runtime.strategies.base import (
    DEFAULT_EXECUTION_HORIZON,
    TimeAligned,
)


@dataclass(frozen=True)
class NaiveAsync(TimeAligned):
    """Infers while moving and swaps on arrival, aligned in time, without telling the model.

    ::

        tick     k-1   k  k+1  k+2  k+3  k+4
        old       9   10   11   12  (13) (14)
        new            0    1    2    3    4           rows 0..d-1 are never executed
        robot     9   10   11   12    3    4           d = 3, T_e = 10
                       ^capture       ^arrival: 12 -> 3 may jump

    The model plans rows 0..d-1 as it likes while the robot does something else; at the swap both
    plans meet wherever they happen to be.
    """

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON

    @property
    def label(self) -> str:
        """For example ``naive async T_e=10``."""
        return f"naive async T_e={self.execution_horizon}"
