"""A slow brain and a fast cerebellum: the VLM's cache seldom, the action expert often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import (
    TRAINED_PREFIX_STEPS,
    Arrival,
    Placement,
    Situation,
    Strategy,
    executed,
)
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import PREFIX_ONLY, ChunkRequest, Observation


@dataclass(frozen=True)
class TwoRate(Strategy):
    """XR-0's two parts at two rates: full inferences and refreshes run side by side.

    ::

        tick      k  k+1  k+2  k+3  k+4  k+5  k+6  k+7
        full      a    a    a    .    b    b    b         VLM and expert, 3 ticks, every 4
        refresh             .    a'   .    a'             expert alone, 1 tick, every 2
                                 ^a's cache, newest proprioception

    A full inference makes the VLM's cache and a chunk. Between two of them the action expert
    denoises again from the newest proprioception and the newest cache that is *finished*; that
    takes as long as the latency model says for a refresh (`latency.parts`). Both are conditioned
    on the committed actions, as in `PrefixAsync`. A chunk is dropped if another one was placed
    while it was under way, since its prefix does not hold any more; a full inference still leaves
    its cache, and where a refresh comes and goes within each of them that is all they are for.
    Head ``prefix_refreshed`` learned from pictures older than the body. Heads that were trained on
    pictures of the same moment alone fail (``docs/results.md``).

    Attributes:
        full_every: Ticks between two captures of full inferences.
        refresh_every: Ticks between two captures of any kind.
        longest_prefix: Most committed rows that a head was trained with.
    """

    max_in_flight: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = PREFIX_ONLY | {"refresh"}
    head: ClassVar[str] = "prefix_refreshed"
    other_heads: ClassVar[tuple[str, ...]] = ("prefix", "prefix_lambda")

    full_every: int = 10
    refresh_every: int = 3
    longest_prefix: int = TRAINED_PREFIX_STEPS

    def __post_init__(self) -> None:
        """Rejects refreshes that are rarer than full inferences."""
        if not 1 <= self.refresh_every <= self.full_every or self.longest_prefix < 0:
            raise ConfigError(
                "two_rate: expected 1 <= refresh_every <= full_every and longest_prefix >= 0, got "
                f"{self.refresh_every}, {self.full_every} and {self.longest_prefix}"
            )

    @property
    def label(self) -> str:
        """For example ``two rates 10/3``."""
        return f"two rates {self.full_every}/{self.refresh_every}"

    def check(self, horizon: int, capabilities: frozenset[str] = PREFIX_ONLY) -> None:
        """Rejects full inferences rarer than a chunk is long."""
        super().check(horizon, capabilities)
        if self.full_every > horizon:
            raise ConfigError(
                f"two_rate full_every: expected 1..{horizon} (the chunk length), got "
                f"{self.full_every}"
            )

    def due(self, situation: Situation) -> bool:
        """A full inference as soon as its turn has come, else a refresh."""
        if self._full_due(situation):
            return True
        if situation.finished is None or any(i.refresh for i in situation.in_flight):
            return False
        last = situation.last
        return last is not None and situation.tick - last.tick >= self.refresh_every

    def refresh(self, situation: Situation) -> int | None:
        """The newest finished cache, unless a full inference is due."""
        return None if self._full_due(situation) else situation.finished

    def _full_due(self, situation: Situation) -> bool:
        if any(not inference.refresh for inference in situation.in_flight):
            return False
        if situation.finished is None or situation.full_tick is None:
            return True
        late = situation.tick - situation.full_tick >= self.full_every
        return late or executed(situation.timeline, situation.tick, self.full_every)

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """Committed actions as a prefix, as many as the estimated delay."""
        steps = min(estimated_ticks, self.longest_prefix)
        return ChunkRequest(observation, timeline.committed(tick, steps))

    def place(self, arrival: Arrival) -> Placement | None:
        """Aligned in time; a full inference that was overtaken leaves its cache alone."""
        if arrival.superseded:
            return None
        if arrival.standstill:
            return Placement(arrival.tick)
        overrun = arrival.tick - arrival.capture_tick > arrival.prefix_steps
        return Placement(arrival.capture_tick, overrun=overrun)
