"""Places an event within an inference: right after its capture, in its prefix, before its chunk.

An event in tick t is first seen by captures after t::

    tick              k    k+1   k+2   k+3   k+4   k+5
    inference         ^capture         ^chunk takes over     d = 3, prefix k .. k+4
    after_capture          x                                 missed by the capture
    in_prefix              x                                 middle of the prefix, chunk under way
    before_handover              x                           last tick of the old chunk

An inference of one tick is under way in its capture tick alone: all three places are that tick.
One of zero ticks is never under way. A refresh of the action expert has no capture of pictures: it
is none of those that are waited for or counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xr0_sim.conventions import CONTROL_HZ, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.triggers import Moment, Trigger
from xr0_sim.registry import triggers
from xr0_sim.types import InferenceMoment

Place = Literal["after_capture", "in_prefix", "before_handover"]


@dataclass(frozen=True)
class AtInference(Trigger):
    """Due at a place within an inference that is under way.

    Attributes:
        place: ``after_capture``: the tick after the capture. ``in_prefix``: the middle of the
            ticks in which the prefix is executed while the inference is under way; never without
            a prefix. ``before_handover``: the tick before the chunk takes over.
        number: Which inference, counted from 1: of the episode, or of those captured in ``phase``;
            None for any.
        phase: Phase of the task in which the inference was captured; None for any.
    """

    place: Place
    number: int | None = None
    phase: str | None = None

    def __post_init__(self) -> None:
        """Rejects numbers below 1."""
        if self.number is not None and self.number < 1:
            raise ConfigError(f"AtInference.number: expected >= 1, got {self.number}")

    def due(self, now: Moment) -> bool:
        """Whether one of the inferences it waits for is at that place."""
        return any(
            inference.capture_tick <= now.tick < inference.due_tick
            and now.tick == self._tick_of(inference)
            for inference in self._chosen(now)
        )

    def _chosen(self, now: Moment) -> list[InferenceMoment]:
        chosen = [inference for inference in now.inferences if not inference.refresh]
        if self.phase is None:
            if self.number is None:
                return chosen
            refreshes = np.cumsum([inference.refresh for inference in now.inferences])
            counted = zip(now.inferences, refreshes, strict=True)
            return [i for i, n in counted if not i.refresh and i.number + 1 - n == self.number]
        hz = now.control_hz
        chosen = [i for i in chosen if now.phase_at(tick_ns(i.capture_tick, hz)) == self.phase]
        return chosen if self.number is None else chosen[self.number - 1 : self.number]

    def _tick_of(self, inference: InferenceMoment) -> int | None:
        capture, due = inference.capture_tick, inference.due_tick
        if self.place == "before_handover":
            return due - 1
        if self.place == "after_capture":
            return min(capture + 1, due - 1)
        prefix = min(inference.prefix_steps, due - capture)
        return capture + prefix // 2 if inference.prefix_steps > 0 else None

    @property
    def awaited_phases(self) -> tuple[str, ...]:
        """Its phase, if it has one."""
        return () if self.phase is None else (self.phase,)

    def earliest_tick(self, control_hz: int = CONTROL_HZ) -> int:
        """At most one inference starts per tick."""
        return 0 if self.number is None else self.number - 1

    def __str__(self) -> str:
        """For example ``inference:after_capture#3:phase=lift``."""
        number = "" if self.number is None else f"#{self.number}"
        phase = "" if self.phase is None else f":phase={self.phase}"
        return f"inference:{self.place}{number}{phase}"


triggers.add("at_inference", AtInference, "inference:in_prefix#3: while an inference is under way")
triggers.alias("inference", "at_inference")
