"""Correct the running chunk in every tick: asynchronous action chunk correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.fields import check_range
from xr0_sim.runtime.strategies.base import DEFAULT_EXECUTION_HORIZON, TimeAligned

HEAD_S = 0.002
"""What a correction is taken to cost [s], pictures excluded; stated. Measured by `bench correction`
on one core: 2.0 ms in the median, 2.8 ms at 99 % (``experiments/LOG.md``)."""


@dataclass(frozen=True)
class Corrected(TimeAligned):
    """`NaiveAsync`, but a small head corrects every row when it is due (A2C2, arXiv 2509.23224).

    ::

        tick      k  k+1  k+2  k+3  k+4  k+5
        old      10   11   12  (13) (14)
        new             .    .   3    4    5    d = 3: swapped on arrival, aligned in time
        sees      k  k+1  k+2  k+3  k+4  k+5    the head: newest observation, row, position, age
        robot    10'  11'  12'  3'   4'   5'    i' = row i + its correction
                  ^capture       ^arrival

    Chunks are slow and see what was; the head is fast and sees what is. It runs within the tick:
    captured, corrected and executed in tick k, so a correction has no delay. Its time is stated
    (``head_s``), counted in the device load, and must fit into a tick; its operations are counted
    with those of the inferences. Every tick captures pictures, and pays for them. Seams compare
    the chunks as they were planned, not as they were corrected.

    Attributes:
        execution_horizon: T_e.
        gain: Share of the correction that is executed; 1 as published, 0 runs the head in vain.
        head_s: What a correction takes [s].
    """

    needs: ClassVar[frozenset[str]] = frozenset({"correct"})
    corrects: ClassVar[bool] = True

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON
    gain: float = 1.0
    head_s: float = HEAD_S

    def __post_init__(self) -> None:
        """Rejects gains that overshoot, and heads that take longer than a tick."""
        check_range(self, "gain", 0.0, 1.0)
        check_range(self, "head_s", 0.0, 1.0 / CONTROL_HZ, "s")

    @property
    def label(self) -> str:
        """For example ``corrected T_e=10``, with a gain that is not 1 behind it."""
        gain = "" if self.gain == 1.0 else f" gain {self.gain:g}"
        return f"corrected T_e={self.execution_horizon}{gain}"

    @property
    def correction_s(self) -> float:
        """See `Strategy.correction_s`."""
        return self.head_s

    def correct(
        self, planned: NDArray[np.float64], corrected: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The correction, or ``gain`` of the way to it."""
        return corrected if self.gain == 1.0 else planned + self.gain * (corrected - planned)
