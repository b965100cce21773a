"""Time as integer nanoseconds: the clock of an episode and the seconds-to-ticks arithmetic.

Virtual time is never slept. A latency is a number on an event queue, so a run gives the same
result on an idle machine and on a loaded one.
"""

from __future__ import annotations

import math
from typing import Protocol

from xr0_sim.conventions import NS_PER_S
from xr0_sim.errors import ConfigError


class Clock(Protocol):
    """Where the executor reads the time; called once per control tick."""

    @property
    def now_ns(self) -> int:
        """Current time [ns]."""
        ...

    def advance_to(self, time_ns: int) -> None:
        """Moves to ``time_ns`` [ns]; a wall clock waits here, a virtual clock jumps."""
        ...


class VirtualClock:
    """Simulated time that only moves when told to."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    @property
    def now_ns(self) -> int:
        """Current simulated time [ns]."""
        return self._now_ns

    def advance_to(self, time_ns: int) -> None:
        """Jumps forward to ``time_ns`` [ns]."""
        if time_ns < self._now_ns:
            raise ConfigError(
                f"virtual clock: expected a time >= {self._now_ns} ns, got {time_ns} ns; "
                "start a new episode to go back"
            )
        self._now_ns = time_ns


def seconds_to_ns(seconds: float) -> int:
    """Rounds a duration [s] to whole nanoseconds.

    >>> seconds_to_ns(0.080)
    80000000
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"duration: expected a finite number of seconds >= 0, got {seconds}")
    return round(seconds * NS_PER_S)


def delay_ticks(latency_ns: int, control_hz: int) -> tuple[int, int]:
    """Delay of an inference in control ticks.

    A result is usable at the first tick that starts at or after its finish time, hence ``d_ceil``
    is the delay the controller lives with; ``d_floor`` is what several papers print. Tick starts
    are rounded to whole nanoseconds, so one nanosecond of slack keeps a latency of exactly n ticks
    at n, whatever the tick it starts in.

    Args:
        latency_ns: Duration of the inference [ns].
        control_hz: Control rate f [Hz].

    Returns:
        ``(floor(L f), ceil(L f))``.

    80 ms at 30 Hz last 2.4 ticks; 200 ms last six:

    >>> delay_ticks(seconds_to_ns(0.080), 30), delay_ticks(seconds_to_ns(0.200), 30)
    ((2, 3), (6, 6))
    """
    floor = (latency_ns + 1) * control_hz // NS_PER_S
    ceil = -((1 - latency_ns) * control_hz // NS_PER_S)
    return floor, ceil
