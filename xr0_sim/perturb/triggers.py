"""When an event fires: at a time, at a tick, or some time after a phase of the task begins."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xr0_sim.conventions import NS_PER_S
from xr0_sim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Moment:
    """What a trigger may look at.

    Attributes:
        tick: Current control tick.
        time_ns: Start of the tick [ns].
        phase_entries_ns: Phase -> times [ns] at which it was entered so far.
    """

    tick: int
    time_ns: int
    phase_entries_ns: Mapping[str, Sequence[int]]


def _check_seconds(name: str, seconds: float) -> None:
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"{name}: expected finite seconds >= 0, got {seconds}")


@dataclass(frozen=True)
class AtTime:
    """Due in the first tick that starts at or after ``time_s`` [s]."""

    time_s: float

    def __post_init__(self) -> None:
        """Rejects negative times."""
        _check_seconds("AtTime.time_s", self.time_s)

    def due(self, now: Moment) -> bool:
        """Whether the time has come."""
        return now.time_ns >= round(self.time_s * NS_PER_S)


@dataclass(frozen=True)
class AtTick:
    """Due in control tick ``tick``."""

    tick: int

    def __post_init__(self) -> None:
        """Rejects negative ticks."""
        if self.tick < 0:
            raise ConfigError(f"AtTick.tick: expected >= 0, got {self.tick}")

    def due(self, now: Moment) -> bool:
        """Whether the tick has come."""
        return now.tick >= self.tick


@dataclass(frozen=True)
class AtPhase:
    """Due ``delay_s`` [s] after the ``occurrence``-th entry into ``phase``, counted from 1."""

    phase: str
    delay_s: float = 0.0
    occurrence: int = 1

    def __post_init__(self) -> None:
        """Rejects negative delays and occurrences below 1."""
        _check_seconds("AtPhase.delay_s", self.delay_s)
        if self.occurrence < 1:
            raise ConfigError(f"AtPhase.occurrence: expected >= 1, got {self.occurrence}")

    def due(self, now: Moment) -> bool:
        """Whether that entry has happened and the delay has passed."""
        entries = now.phase_entries_ns.get(self.phase, ())
        if len(entries) < self.occurrence:
            return False
        return now.time_ns >= entries[self.occurrence - 1] + round(self.delay_s * NS_PER_S)


Trigger = AtTime | AtTick | AtPhase

TRIGGER_KINDS: dict[str, type[Trigger]] = {
    "at_time": AtTime,
    "at_tick": AtTick,
    "at_phase": AtPhase,
}

_TEXT = re.compile(
    r"(?P<time>\d+(\.\d+)?)s"
    r"|tick:(?P<tick>\d+)"
    r"|phase:(?P<phase>[\w.-]+)(#(?P<occurrence>\d+))?(\+(?P<delay>\d+(\.\d+)?)s)?"
)


def parse_trigger(text: str) -> Trigger:
    """Trigger from ``2.5s``, ``tick:90``, ``phase:lift``, ``phase:lift+0.2s``, ``phase:lift#2``."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"trigger: expected '2.5s', 'tick:90' or 'phase:NAME[#N][+0.2s]', got {text!r}"
        )
    if match["time"] is not None:
        return AtTime(float(match["time"]))
    if match["tick"] is not None:
        return AtTick(int(match["tick"]))
    return AtPhase(match["phase"], float(match["delay"] or 0.0), int(match["occurrence"] or 1))
