from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr0_sim.conventions import tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.perturb import (
    AtInference,
    AtPhase,
    AtTick,
    AtTime,
    Moment,
    Trigger,
    event_from_dict,
    event_to_dict,
    parse_event,
    parse_trigger,
)
from xr0_sim.plugins import load_plugin
from xr0_sim.registry import triggers
from xr0_sim.types import InferenceMoment


def moment(tick, entries=None, inferences=()):
    return Moment(tick, tick_ns(tick), entries or {}, inferences)


@triggers.register("test_even")
@dataclass(frozen=True)
class Even(Trigger):
    past: int = 0

    def due(self, now):
        return now.tick > self.past and now.tick % 2 == 0


@given(st.integers(0, 1000))
def test_a_time_on_a_tick_is_due_in_that_tick(tick):
    # Tick starts and times are whole nanoseconds, both rounded from the same number of seconds.
    trigger = AtTime(tick / 30)
    assert trigger.due(moment(tick)) and not (tick and trigger.due(moment(tick - 1)))
    assert trigger.earliest_tick() == tick
    later = AtTime(tick / 30 + 1e-6)
    assert not later.due(moment(tick)) and later.due(moment(tick + 1))
    assert later.earliest_tick() == tick + 1


def test_refreshes_are_no_inferences_to_wait_for():
    full, refresh = InferenceMoment(0, 2, 6, 0), InferenceMoment(1, 7, 9, 2, refresh=True)
    later = InferenceMoment(2, 10, 14, 3)
    known = (full, refresh, later)

    def due(text, entries=None):
        trigger = parse_trigger(text)
        return [t for t in range(20) if trigger.due(moment(t, entries, known))]

    assert due("inference:after_capture") == [3, 11]
    assert due("inference:after_capture#2") == [11] and due("inference:after_capture#3") == []
    reach = {"reach": [tick_ns(5)]}
    assert due("inference:before_handover#1:phase=reach", reach) == [13]


def test_ticks_and_phases():
    assert [AtTick(3).due(moment(t)) for t in range(5)] == [False] * 3 + [True] * 2
    entries = {"lift": [tick_ns(10), tick_ns(40)]}
    assert AtPhase("lift").due(moment(10, entries))
    assert not AtPhase("lift", 0.1).due(moment(12, entries))
    assert AtPhase("lift", 0.1).due(moment(13, entries))
    assert not AtPhase("lift", 0.1, occurrence=2).due(moment(42, entries))
    assert AtPhase("lift", 0.1, occurrence=2).due(moment(43, entries))
    assert not AtPhase("place").due(moment(99, entries))


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("2.5s", AtTime(2.5)),
        ("tick:90", AtTick(90)),
        ("phase:lift", AtPhase("lift")),
        ("phase:past-midline#2+0.2s", AtPhase("past-midline", 0.2, 2)),
        ("inference:after_capture", AtInference("after_capture")),
        ("inference:in_prefix#3", AtInference("in_prefix", 3)),
        ("inference:before_handover#2:phase=lift", AtInference("before_handover", 2, "lift")),
        ("inference:after_capture:phase=lift", AtInference("after_capture", None, "lift")),
        ("test_even:past=4", Even(4)),
        ("test_even", Even()),
    ],
)
def test_text(text, trigger):
    assert parse_trigger(text) == trigger == parse_trigger(str(trigger))


def test_fields_by_name_are_another_spelling():
    assert parse_trigger("at_phase:phase=lift,delay_s=0.2") == AtPhase("lift", 0.2)
    assert parse_trigger("inference:place=in_prefix,number=3") == AtInference("in_prefix", 3)
    assert str(AtTime(1e-6)) == "0.000001s" and parse_trigger("0.000001s") == AtTime(1e-6)


@pytest.mark.parametrize("text", ["", "soon", "2.5", "tick:x", "phase:", "test_evn:past=1"])
def test_bad_text_says_what_is_expected(text):
    with pytest.raises(ConfigError, match=r"expected '2.5s', 'tick:90' or 'phase:NAME"):
        parse_trigger(text)


@pytest.mark.parametrize(
    "build",
    [
        lambda: AtTime(-1),
        lambda: AtTime(float("nan")),
        lambda: AtTick(-1),
        lambda: AtPhase("a", -0.1),
        lambda: AtPhase("a", occurrence=0),
        lambda: AtTick(float("nan")),
        lambda: AtTick(3.0),
        lambda: AtTick("3"),
        lambda: AtTick(True),
        lambda: AtTime("1"),
        lambda: AtTime(float("inf")),
        lambda: AtTime(None),
        lambda: AtPhase(3),
        lambda: AtPhase("a", np.float32("nan")),
        lambda: AtInference("after_captur"),
        lambda: AtInference("in_prefix", 0),
        lambda: AtInference("in_prefix", phase=1),
        lambda: Even("two"),
    ],
)
def test_bad_triggers_are_refused(build):
    with pytest.raises(ConfigError, match="expected"):
        build()


def test_numpy_scalars_are_plain_numbers():
    for numpy_like, plain in (
        (AtTick(np.int64(3)), AtTick(3)),
        (AtTime(np.float32(0.5)), AtTime(0.5)),
        (AtTime(np.array(2)), AtTime(2.0)),
        (AtPhase(np.str_("lift"), np.float64(0.2), np.uint8(2)), AtPhase("lift", 0.2, 2)),
    ):
        assert (
            numpy_like == plain
            and repr(numpy_like) == repr(plain)
            and hash(numpy_like) == hash(plain)
        )


FIRST = InferenceMoment(number=0, capture_tick=0, due_tick=0, prefix_steps=0)
SECOND = InferenceMoment(number=1, capture_tick=10, due_tick=14, prefix_steps=6)
THIRD = InferenceMoment(number=2, capture_tick=20, due_tick=21, prefix_steps=2)


def ticks_of(trigger, entries=None):
    """Ticks in which a trigger is due, the inferences being noted from their capture on."""
    known = (FIRST, SECOND, THIRD)
    return [
        tick
        for tick in range(30)
        if trigger.due(moment(tick, entries, [i for i in known if i.capture_tick <= tick]))
    ]


@pytest.mark.parametrize(
    ("place", "ticks"),
    [("after_capture", [11, 20]), ("in_prefix", [12, 20]), ("before_handover", [13, 20])],
)
def test_places_within_the_inferences_under_way(place, ticks):
    assert ticks_of(AtInference(place)) == ticks
    assert ticks_of(AtInference(place, 2)) == ticks[:1]
    assert ticks_of(AtInference(place, 3)) == ticks[1:]
    assert ticks_of(AtInference(place, 1)) == []  # no time passes between capture and hand-over
    assert AtInference(place, 3).earliest_tick() == 2


def test_inferences_are_counted_within_a_phase():
    entries = {"reach": [0], "lift": [tick_ns(10)], "carry": [tick_ns(18)]}
    assert ticks_of(AtInference("after_capture", phase="lift"), entries) == [11]
    assert ticks_of(AtInference("after_capture", 1, "carry"), entries) == [20]
    assert ticks_of(AtInference("after_capture", 2, "carry"), entries) == []
    assert AtInference("after_capture", phase="lift").awaited_phases == ("lift",)


def test_a_plug_in_brings_its_own_trigger_and_event(tmp_path):
    file = tmp_path / "every_other_trigger.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from xr0_sim.perturb import Event, Trigger\n"
        "from xr0_sim.registry import events, triggers\n"
        "@triggers.register('test_countdown')\n"
        "@dataclass(frozen=True)\n"
        "class Countdown(Trigger):\n"
        "    ticks: int\n"
        "    def due(self, now):\n"
        "        return now.tick >= self.ticks\n"
        "@events.register('test_poke')\n"
        "@dataclass(frozen=True)\n"
        "class Poke(Event):\n"
        "    force_n: float = 1.0\n"
        "    def apply(self, scene, rng):\n"
        "        scene.append(self.force_n)\n"
    )
    load_plugin(str(file))
    event = parse_event("test_poke:force_n=2@test_countdown:ticks=5")
    assert (event.force_n, event.trigger.ticks) == (2.0, 5)
    written = event_to_dict(event)
    assert written["kind"] == "test_poke" and written["trigger"]["kind"] == "test_countdown"
    assert event_from_dict(written) == event
    with pytest.raises(ConfigError, match="expected a finite number, got nan"):
        parse_event("test_poke:force_n=nan")
    with pytest.raises(ConfigError, match="expected a value for ticks"):
        parse_event("test_poke@test_countdown")
