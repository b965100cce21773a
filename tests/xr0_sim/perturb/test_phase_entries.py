"""A phase counts as entered when it begins, not in every tick in which it lasts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from xr0_sim.conventions import tick_ns
from xr0_sim.perturb import AtPhase, Event, event_kind
from xr0_sim.perturb.schedule import EventSchedule

PHASES = ["reach", "lift", "lift", "lift", "reach", "reach", "lift", "lift", "reach", "lift"]


@event_kind("test_mark")
@dataclass(frozen=True)
class Mark(Event):
    def apply(self, scene, rng):
        return None


@pytest.mark.parametrize(
    ("phase", "occurrence", "tick"),
    [("reach", 1, 0), ("reach", 2, 4), ("reach", 3, 8), ("lift", 2, 6), ("lift", 3, 9)],
)
def test_an_event_waits_for_the_entry_it_names(phase, occurrence, tick):
    schedule = EventSchedule([Mark(trigger=AtPhase(phase, occurrence=occurrence))], 0)
    fired = [
        record.tick
        for now, name in enumerate(PHASES)
        for record in schedule.fire(None, now, tick_ns(now), name)
    ]
    assert fired == [tick]
