"""When an event fires: at a time, at a tick, or some time after a phase of the task begins.

A trigger of one's own is a frozen dataclass with a `due`, registered under a name::

    @triggers.register("every_other")
    @dataclass(frozen=True)
    class EveryOther(Trigger):
        first: int = 1

        def due(self, now):
            return now.tick % 2 == self.first

Text then names it: ``shove@every_other:first=0``. An event fires once, in the first tick in which
its trigger is due.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from xr0_sim.conventions import CONTROL_HZ, NS_PER_S, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.registry import triggers
from xr0_sim.types import InferenceMoment


@dataclass(frozen=True, slots=True)
class Moment:
    """What a trigger may look at.

    Attributes:
        tick: Current control tick.
        time_ns: Start of the tick [ns].
        phase_entries_ns: Phase -> times [ns] at which it was entered so far.
        inferences: Inferences of the episode so far, oldest first; one is under way as long as
            ``tick < due_tick``. Empty if nobody tells the plant about them.
        scene: The task's scene, to be read only; which methods it has is the task's business.
        control_hz: Control rate [Hz].
    """

    tick: int
    time_ns: int
    phase_entries_ns: Mapping[str, Sequence[int]]
    inferences: Sequence[InferenceMoment] = ()
    scene: Any = None
    control_hz: int = CONTROL_HZ

    def phase_at(self, time_ns: int) -> str | None:
        """Phase that was entered last at or before a time [ns]."""
        entries = [
            (entered, phase)
            for phase, times in self.phase_entries_ns.items()
            for entered in times
            if entered <= time_ns
        ]
        return max(entries)[1] if entries else None


class Trigger(CheckedFields, ABC):
    """Base of every trigger, a frozen dataclass; it holds parameters and no state."""

    @abstractmethod
    def due(self, now: Moment) -> bool:
        """Whether the event fires in this tick, if it has not fired before."""

    @property
    def awaited_phases(self) -> tuple[str, ...]:
        """Phases without which it never comes due; checked against those of the task."""
        return ()

    def earliest_tick(self, control_hz: int = CONTROL_HZ) -> int:
        """First tick in which it can come due at a control rate [Hz]; checked against the limit."""
        return 0

    def __str__(self) -> str:
        """Text form, which `xr0_sim.perturb.trigger_text.parse_trigger` reads."""
        set_to = ",".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self))  # type: ignore[arg-type]
        return f"{trigger_name(type(self))}:{set_to}".rstrip(":")


def trigger_name(cls: type) -> str:
    """Name under which a class of triggers is registered.

    Raises:
        ConfigError: It is not.
    """
    for name in triggers:
        plug = triggers[name]
        if plug is cls or type(plug) is cls:
            return name
    raise ConfigError(
        f"trigger {cls.__name__}: expected a registered class; put "
        "@xr0_sim.registry.triggers.register(NAME) above it"
    )


def _check_seconds(name: str, seconds: float) -> None:
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"{name}: expected finite seconds >= 0, got {seconds}")


def _first_tick_at(time_ns: int, control_hz: int) -> int:
    """First control tick that starts at or after a time [ns]."""
    tick = max(0, time_ns * control_hz // NS_PER_S - 1)
    while tick_ns(tick, control_hz) < time_ns:
        tick += 1
    return tick


def positional(seconds: float) -> str:
    """Seconds without an exponent, e.g. ``0.000001``."""
    return str(np.format_float_positional(seconds, trim="-"))


@dataclass(frozen=True)
class AtTime(Trigger):
    """Due in the first tick that starts at or after ``time_s`` [s]."""

    time_s: float

    def __post_init__(self) -> None:
        """Rejects negative times."""
        _check_seconds("AtTime.time_s", self.time_s)

    def due(self, now: Moment) -> bool:
        """Whether the time has come."""
        return now.time_ns >= round(self.time_s * NS_PER_S)

    def earliest_tick(self, control_hz: int = CONTROL_HZ) -> int:
        """The tick in which it comes due."""
        return _first_tick_at(round(self.time_s * NS_PER_S), control_hz)

    def __str__(self) -> str:
        """For example ``2.5s``."""
        return f"{positional(self.time_s)}s"


@dataclass(frozen=True)
class AtTick(Trigger):
    """Due in control tick ``tick``."""

    tick: int

    def __post_init__(self) -> None:
        """Rejects negative ticks."""
        if self.tick < 0:
            raise ConfigError(f"AtTick.tick: expected >= 0, got {self.tick}")

    def due(self, now: Moment) -> bool:
        """Whether the tick has come."""
        return now.tick >= self.tick

    def earliest_tick(self, control_hz: int = CONTROL_HZ) -> int:
        """The tick itself."""
        return self.tick

    def __str__(self) -> str:
        """For example ``tick:90``."""
        return f"tick:{self.tick}"


@dataclass(frozen=True)
class AtPhase(Trigger):
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

    @property
    def awaited_phases(self) -> tuple[str, ...]:
        """Its phase."""
        return (self.phase,)

    def earliest_tick(self, control_hz: int = CONTROL_HZ) -> int:
        """The delay after the first tick; a phase comes back two ticks later at the earliest."""
        delay = _first_tick_at(round(self.delay_s * NS_PER_S), control_hz)
        return 2 * (self.occurrence - 1) + delay

    def __str__(self) -> str:
        """For example ``phase:lift#2+0.2s``."""
        again = f"#{self.occurrence}" if self.occurrence > 1 else ""
        delay = f"+{positional(self.delay_s)}s" if self.delay_s else ""
        return f"phase:{self.phase}{again}{delay}"


@dataclass(frozen=True)
class Never(Trigger):
    """Never due: an event left out that keeps its place, and with it the others' random numbers."""

    def due(self, now: Moment) -> bool:
        """Never."""
        return False


triggers.add("never", Never, "never: the event is left out but keeps its place")
triggers.add("at_time", AtTime, "2.5s: the first tick that starts at or after a time")
triggers.add("at_tick", AtTick, "tick:90: a control tick")
triggers.add("at_phase", AtPhase, "phase:lift#2+0.2s: some time after a phase begins")
triggers.alias("time", "at_time")
triggers.alias("tick", "at_tick")
triggers.alias("phase", "at_phase")
