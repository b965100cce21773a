"""An inference under way, and what it captures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.tick_record import NONE
from xr0_sim.types import InferenceMoment, Observation


@dataclass(frozen=True, slots=True)
class Inference:
    """An inference: computed at its capture, delivered when its latency has passed.

    Attributes:
        after: Number of the chunk that was placed last before the capture; -1 for none. The others
            are those of `xr0_sim.runtime.tick_record.TickRecord`.
    """

    number: int
    capture_tick: int
    due_tick: int
    latency_s: float
    d_floor: int
    d_ceil: int
    estimated_ticks: int
    prefix_steps: int
    standstill: bool
    refresh: bool = False
    flops: float = float("nan")
    lost: bool = False
    after: int = NONE

    @property
    def moment(self) -> InferenceMoment:
        """What strategies and triggers may see of it."""
        return InferenceMoment(
            self.number, self.capture_tick, self.due_tick, self.prefix_steps, self.refresh
        )


class Capture:
    """The observation of one tick, captured on the first call."""

    def __init__(self, observe: Callable[[], Observation], tick: int) -> None:
        self._observe, self._tick = observe, tick
        self._observation: Observation | None = None

    def __call__(self) -> Observation:
        """The observation; captured at the first call.

        Raises:
            ConfigError: It is of another tick.
        """
        if self._observation is None:
            self._observation = self._observe()
            if self._observation.tick != self._tick:
                raise ConfigError(
                    f"observation: expected a capture in tick {self._tick}, got tick "
                    f"{self._observation.tick}"
                )
        return self._observation
