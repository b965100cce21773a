"""Towels that keep coming: a folded one is taken away and another one laid down.

Throughput in pieces per minute needs runs that go on. Every towel has a cut-off, the two minutes of
the paper; one that is not ready by then is taken out of the hands, which start from home again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CUT_OFF_S = 120.0
"""Time there is for a towel [simulated s]."""
CLEAR = 0.09
"""Tool height from which on towels can be exchanged [m]."""


@dataclass(frozen=True)
class Supply:
    """Count of a continuous run.

    Attributes:
        folded: Towels that were ready in time.
        missed: Towels that were not.
        since: Tick at which the present one was laid down.
        ready: Whether the present one is ready and waits for the hands to leave.
    """

    folded: int = 0
    missed: int = 0
    since: int = 0
    ready: bool = False

    def at(self, tick: int, success: bool, control_hz: float) -> Supply:
        """The count after a tick."""
        if self.ready:
            return self
        if success:
            return Supply(self.folded + 1, self.missed, self.since, True)
        if tick - self.since >= CUT_OFF_S * control_hz:
            return Supply(self.folded, self.missed + 1, self.since, False)
        return self

    def exchanges(self, before: Supply, tools: NDArray[np.float64]) -> bool:
        """Whether a new towel comes now; `tools` are the tool points (2, 3) [m]."""
        return self.missed > before.missed or (self.ready and bool(tools[:, 2].min() > CLEAR))

    def renewed(self, tick: int) -> Supply:
        """The count with a new towel on the table."""
        return Supply(self.folded, self.missed, tick)

    @property
    def counts(self) -> tuple[int, int]:
        """Towels folded and missed."""
        return self.folded, self.missed

    @property
    def success(self) -> bool:
        """Whether every towel so far was ready in time, and there was one."""
        return self.folded > 0 and self.missed == 0
