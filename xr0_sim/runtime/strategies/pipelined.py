"""Several inferences under way at a time."""

from __future__ import annotations

from dataclasses import dataclass

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import Situation, Strategy
from xr0_sim.types import PREFIX_ONLY


@dataclass(frozen=True)
class Pipelined(Strategy):
    """Captures every ``period`` ticks, up to ``depth`` inferences at a time, aligned in time.

    ::

        tick      k  k+1  k+2  k+3  k+4  k+5
        capture   a    b    c    d    e    f     period 1, depth 3
        robot                 a3   b3   c3       d = 3: every tick has a row three ticks old

    A chunk older than one that has arrived is dropped. It needs hardware for ``depth`` inferences
    at once; nothing is said here about how much faster one of them would be alone.

    Attributes:
        period: Ticks between two captures.
        depth: Most inferences under way.
    """

    period: int = 3
    depth: int = 3

    def __post_init__(self) -> None:
        """Rejects periods and depths below one."""
        if self.period < 1 or self.depth < 1:
            raise ConfigError(
                f"pipelined: expected period >= 1 and depth >= 1, got {self.period} and "
                f"{self.depth}"
            )

    @property
    def max_in_flight(self) -> int:  # type: ignore[override]
        """``depth``."""
        return self.depth

    @property
    def label(self) -> str:
        """For example ``pipelined every 3 of 3``."""
        return f"pipelined every {self.period} of {self.depth}"

    def check(self, horizon: int, capabilities: frozenset[str] = PREFIX_ONLY) -> None:
        """Rejects a period that outlasts a chunk."""
        super().check(horizon, capabilities)
        if self.period > horizon:
            raise ConfigError(
                f"pipelined period: expected 1..{horizon} (the chunk length), got {self.period}"
            )

    def due(self, situation: Situation) -> bool:
        """``period`` ticks after the last capture, or when nothing is left and nothing comes."""
        last = situation.last
        if last is not None and situation.tick - last.tick >= self.period:
            return True
        return not situation.in_flight and situation.timeline.at(situation.tick) is None
