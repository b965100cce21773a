"""Several inferences under way at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import Arrival, Placement, Situation, Strategy
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import PREFIX_ONLY, ChunkRequest, Observation


@dataclass(frozen=True)
class Pipelined(Strategy):
    """Captures every ``period`` ticks, up to ``depth`` inferences at a time, aligned in time.

    ::

        tick      k  k+1  k+2  k+3  k+4  k+5
        capture   a    b    c    d    e    f     period 1, depth 3
        robot                 a3   b3   c3       d = 3: every tick has a row three ticks old

    A chunk older than one that has arrived is dropped. It needs hardware for ``depth`` inferences
    at once; nothing is said here about how much faster one of them would be alone.

    Chunks that know nothing of each other can answer each other's jumps until the arms shake; with
    ``longest_prefix`` each is conditioned on what is committed when it is captured, by a head that
    was trained so. Rows of an inference that is under way then are not known yet, so a chunk is
    dropped if another one was placed before it arrived: with a prefix the chunks that act were
    captured at least a delay apart, whatever the depth.

    Attributes:
        period: Ticks between two captures.
        depth: Most inferences under way.
        longest_prefix: Most committed rows given as a prefix, up to the estimated delay; 0 gives
            none.
    """

    period: int = 3
    depth: int = 3
    longest_prefix: int = 0

    def __post_init__(self) -> None:
        """Rejects periods and depths below one, and negative prefixes."""
        if self.period < 1 or self.depth < 1 or self.longest_prefix < 0:
            raise ConfigError(
                "pipelined: expected period >= 1, depth >= 1 and longest_prefix >= 0, got "
                f"{self.period}, {self.depth} and {self.longest_prefix}"
            )

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """A model that takes a prefix, where one is given."""
        return PREFIX_ONLY if self.longest_prefix else frozenset()

    @property
    def head(self) -> str:  # type: ignore[override]
        """That of `PrefixAsync` where a prefix is given."""
        return PrefixAsync.head if self.longest_prefix else Strategy.head

    @property
    def max_in_flight(self) -> int:  # type: ignore[override]
        """``depth``."""
        return self.depth

    @property
    def label(self) -> str:
        """For example ``pipelined every 3 of 3``."""
        tail = f" prefix={self.longest_prefix}" if self.longest_prefix else ""
        return f"pipelined every {self.period} of {self.depth}{tail}"

    def check(self, horizon: int, capabilities: frozenset[str] = PREFIX_ONLY) -> None:
        """Rejects a period that outlasts a chunk."""
        super().check(horizon, capabilities)
        if self.period > horizon:
            raise ConfigError(
                f"pipelined period: expected 1..{horizon} (the chunk length), got {self.period}"
            )

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """Committed actions as a prefix, where one is asked for."""
        steps = min(estimated_ticks, self.longest_prefix)
        return ChunkRequest(observation, timeline.committed(tick, steps))

    def due(self, situation: Situation) -> bool:
        """``period`` ticks after the last capture, or when nothing is left and nothing comes."""
        last = situation.last
        if last is not None and situation.tick - last.tick >= self.period:
            return True
        return not situation.in_flight and situation.timeline.at(situation.tick) is None

    def place(self, arrival: Arrival) -> Placement | None:
        """Aligned in time; dropped if its prefix, where one is given, does not hold any more."""
        if self.longest_prefix and arrival.superseded:
            return None
        placed = super().place(arrival)
        if placed is None or arrival.standstill or not self.longest_prefix:
            return placed
        return replace(placed, overrun=arrival.tick - arrival.capture_tick > arrival.prefix_steps)
