import dataclasses
import json
import pickle

import numpy as np
import pytest

from xr0_sim.conventions import tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.perturb import (
    AtPhase,
    AtTick,
    AtTime,
    Event,
    EventSchedule,
    FreezeCamera,
    FrozenCameras,
    event_from_dict,
    event_kind,
    event_kinds,
    event_presets,
    event_to_dict,
    parse_events,
    register_preset,
)


@event_kind("test_nudge")
@dataclasses.dataclass(frozen=True)
class Nudge(Event):
    size_m: float = 0.05
    offset_m: tuple[float, float] = (0.0, 0.0)

    def apply(self, scene, rng):
        angle = rng.uniform(0, 2 * np.pi)
        scene.append((self.size_m, angle))
        return {"angle_rad": np.float64(angle)}


register_preset("test_small_nudge", Nudge(0.01, trigger=AtTime(1.0)))


def run(schedule, ticks, phases=None, start=0):
    scene, records = [], []
    for tick in range(start, ticks):
        phase = None if phases is None else phases[tick]
        records += schedule.fire(scene, tick, tick_ns(tick), phase)
    return scene, records


@pytest.mark.parametrize("name", event_presets())
def test_every_preset_survives_json_and_pickle(name):
    event = event_presets()[name]
    assert event_from_dict(json.loads(json.dumps(event_to_dict(event)))) == event
    assert pickle.loads(pickle.dumps(event)) == event
    assert parse_events([name]) == (event,)


@pytest.mark.parametrize("trigger", [AtTime(0.5), AtTick(7), AtPhase("lift", 0.2, 3)])
def test_triggers_and_tuples_survive_json(trigger):
    event = Nudge(0.2, (0.1, -0.1), trigger=trigger)
    back = event_from_dict(json.loads(json.dumps(event_to_dict(event))))
    assert back == event and hash(back) == hash(event)


def test_reset_options_may_mix_objects_dicts_and_text():
    events = parse_events(
        [
            Nudge(0.3, trigger=AtTick(1)),
            {"kind": "test_nudge", "size_m": 0.4, "trigger": "phase:lift+0.2s"},
            "test_small_nudge",
            "test_small_nudge@tick:9",
        ]
    )
    assert [e.size_m for e in events] == [0.3, 0.4, 0.01, 0.01]
    assert [e.trigger for e in events] == [
        AtTick(1),
        AtPhase("lift", 0.2),
        AtTime(1.0),
        AtTick(9),
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["test_small_nugde"], "did you mean 'test_small_nudge'"),
        ([{"kind": "test_nugde"}], "did you mean 'test_nudge'"),
        ([{"size_m": 1}], "expected a 'kind'"),
        ([{"kind": "test_nudge", "size": 1}], "did you mean 'size_m'"),
        ([{"kind": "test_nudge", "trigger": {"kind": "at_tim"}}], "did you mean 'at_time'"),
        ([{"kind": "test_nudge", "trigger": {"kind": "at_time"}}], "expected fields time_s"),
        ([{"kind": "test_nudge", "trigger": 3}], "expected a dict with a 'kind' or text"),
        ([3], "expected an event, a dict or a preset name"),
        ("test_small_nudge", "expected a list of events"),
        (["freeze_base@soon"], "trigger: expected"),
    ],
)
def test_bad_options_say_what_is_available(items, message):
    with pytest.raises(ConfigError, match=message):
        parse_events(items)


def test_kinds_are_unique_and_frozen():
    assert "test_nudge" in event_kinds()
    with pytest.raises(ConfigError, match="already taken by Nudge"):

        @event_kind("test_nudge")
        @dataclasses.dataclass(frozen=True)
        class Other(Nudge):
            pass

    with pytest.raises(ConfigError, match="expected a frozen dataclass"):

        @event_kind("test_loose")
        class Loose(Event):
            def apply(self, scene, rng):
                pass


def test_each_event_fires_once_and_is_logged_with_what_was_drawn():
    events = [Nudge(0.1, trigger=AtTick(4)), Nudge(0.2, trigger=AtPhase("lift", 0.1))]
    phases = ["reach"] * 5 + ["lift"] * 3 + ["reach"] * 2 + ["lift"] * 10
    schedule = EventSchedule(events, seed=3)
    scene, records = run(schedule, 20, phases)
    assert [(r.kind, r.tick, r.time_ns) for r in records] == [
        ("test_nudge", 4, tick_ns(4)),
        ("test_nudge", 8, tick_ns(8)),
    ]
    assert [r.parameters["angle_rad"] for r in records] == [angle for _, angle in scene]
    assert json.loads(json.dumps(records[0].parameters))["size_m"] == 0.1
    assert schedule.pending == ()


def test_random_numbers_depend_on_seed_and_place_alone():
    early = run(EventSchedule([Nudge(trigger=AtTick(2))], 3), 9)[0]
    late = run(EventSchedule([Nudge(trigger=AtTick(7)), Nudge(trigger=AtTick(8))], 3), 9)[0]
    assert early[0] == late[0] != late[1]
    assert run(EventSchedule([Nudge(trigger=AtTick(2))], 4), 9)[0] != early


def test_a_snapshot_continues_where_it_was():
    events = [Nudge(trigger=AtTick(4)), Nudge(trigger=AtPhase("lift", 0.1, 2))]
    phases = (["reach"] * 3 + ["lift"] * 3) * 5
    whole = run(EventSchedule(events, 1), 30, phases)
    for cut in range(0, 30, 4):
        schedule = EventSchedule(events, 1)
        head = run(schedule, cut, phases)
        state = pickle.loads(pickle.dumps(schedule.snapshot()))
        run(schedule, 30, phases, start=cut)
        fresh = EventSchedule(events, 1)
        fresh.restore(state)
        tail = run(fresh, 30, phases, start=cut)
        assert head[0] + tail[0] == whole[0]
        assert head[1] + tail[1] == whole[1]


def test_camera_freeze_checks_its_values():
    with pytest.raises(ConfigError, match="did you mean 'base'"):
        FreezeCamera("bse")
    with pytest.raises(ConfigError, match="finite seconds > 0"):
        FreezeCamera("base", 0.0)


def picture(value):
    return np.full((2, 2, 3), value, np.uint8)


def test_frozen_cameras_repeat_their_picture_and_thaw():
    cameras = FrozenCameras()
    live = picture(1)
    cameras.freeze("base", live, now_ns=10, duration_s=5e-9)
    live[:] = 9
    seen = cameras.filter({"base": picture(2), "left_wrist": picture(3)}, now_ns=14)
    assert (seen["base"] == 1).all() and (seen["left_wrist"] == 3).all()
    assert (cameras.filter({"base": picture(4)}, now_ns=15)["base"] == 4).all()


def test_freezing_twice_keeps_the_older_picture_only_while_frozen():
    cameras = FrozenCameras()
    cameras.freeze("base", picture(1), now_ns=0, duration_s=10e-9)
    cameras.freeze("base", picture(2), now_ns=5, duration_s=10e-9)
    assert (cameras.filter({"base": picture(3)}, 14)["base"] == 1).all()
    cameras.freeze("base", picture(4), now_ns=20, duration_s=10e-9)
    assert (cameras.filter({"base": picture(5)}, 21)["base"] == 4).all()


def test_frozen_cameras_snapshot():
    cameras = FrozenCameras()
    cameras.freeze("base", picture(1), now_ns=0, duration_s=1.0)
    state = cameras.snapshot()
    cameras.filter({}, now_ns=2_000_000_000)
    cameras.restore(state)
    assert (cameras.filter({"base": picture(2)}, 5)["base"] == 1).all()
