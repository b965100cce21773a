"""Events in the environments: refused if they cannot happen, exact in tick and size, restored."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

from envs import ENV_IDS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.events import (
    Drop,
    Reattach,
    Shove,
    ShoveBrick,
    Teleport,
    TeleportBrick,
)
from envs.events import ChangeInstruction, MoveCamera, MoveLight, check_events
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.events import CornerSlip, Gust, Obstacle, TowelShove, TowelTeleport
from experiments.runner.condition import choose_events
from xr0_sim.errors import ConfigError
from xr0_sim.perturb import AtPhase, AtTick, FreezeCamera, event_from_dict, event_to_dict

EVENTS = (
    *(Shove, ShoveBrick, Teleport, TeleportBrick, Reattach, Drop),
    *(MoveLight, MoveCamera, ChangeInstruction),
    *(TowelShove, TowelTeleport, Gust, CornerSlip, Obstacle, FreezeCamera),
)


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


def rest(env, ticks):
    """Holds still; the events that fired, with the ticks they were reported in."""
    fired = []
    for _ in range(ticks):
        tick = env.tick
        fired += [(tick, record) for record in env.advance(env._home)[3]["events"]]
    return fired


BAD = [float("nan"), float("inf"), "0.05", None, True, [0.05], np.float32("nan"), 1e9, -1.0]


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("value", BAD, ids=str)
def test_a_number_that_is_none_is_refused_when_the_event_is_built(kind, value):
    numbers = [field.name for field in dataclasses.fields(kind) if "float" in str(field.type)]
    for name in numbers:
        if value is None and "None" in str(kind.__dataclass_fields__[name].type):
            continue
        if kind in (MoveLight, FreezeCamera) and value == 1e9 and name != "brightness":
            continue
        with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{name}: expected") as caught:
            kind(**{name: value})
        assert "\n" not in str(caught.value)
    assert numbers or kind is ChangeInstruction


@pytest.mark.parametrize("value", [3, None, b"text", ["base"], float("nan")], ids=str)
def test_a_text_that_is_none_is_refused_when_the_event_is_built(value):
    for kind, name in ((MoveCamera, "camera"), (ChangeInstruction, "text")):
        with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{name}: expected text"):
            kind(**{name: value})
    with pytest.raises(ConfigError, match="expected"):
        Shove(trigger=value)


@pytest.mark.parametrize("number", [np.float64(0.05), np.float32(0.05), np.array(0.05)])
def test_numpy_scalars_are_plain_numbers(number):
    event = Teleport(distance_m=number, turn_deg=np.int64(10), trigger=AtTick(np.int32(4)))
    plain = Teleport(distance_m=float(number), turn_deg=10.0, trigger=AtTick(4))
    assert event == plain and repr(event) == repr(plain) and hash(event) == hash(plain)
    assert event_from_dict(event_to_dict(event)) == plain


@pytest.mark.parametrize(
    ("task", "text", "words"),
    [
        ("block_dismantling", "shove@phase:reahc", "'reahc': did you mean 'reach'"),
        ("block_dismantling", "shove@phase:lift", "approach, carry, grasp, pull, reach"),
        ("block_dismantling", "shove@phase:done", "unknown phase 'done'"),
        ("block_dismantling", "shove@inference:in_prefix:phase=lift", "unknown phase 'lift'"),
        ("block_dismantling", "shove@100s", r"tick 1200 \(40 s\), got tick 3000"),
        ("block_dismantling", "shove@tick:1200", "got tick 1200 at the earliest"),
        ("block_dismantling", "shove@phase:reach+41s", "got tick 1230 at the earliest"),
        ("block_dismantling", "shove:distance_m=0.2", r"expected 0 \.\. 0\.15 m, got 0\.2"),
        ("block_dismantling", "gust", "expected one for BlockDismantlingEnv"),
        ("towel_folding", "shove@phase:pull", "carry, done, grasp, lift"),
        ("towel_folding", "shove,shove@tick:nan", "trigger: expected"),
    ],
)
def test_an_event_that_can_never_fire_is_refused_for_its_task(task, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        choose_events(task, text, 1200)
    assert "\n" not in str(caught.value)


def test_events_with_fields_and_triggers_are_told_apart_by_commas():
    text = "teleport:distance_m=0.1,turn_deg=0@2s, freeze_base@inference:place=in_prefix,number=2"
    first, second = choose_events("towel_folding", text)
    assert first == TowelTeleport(0.1, 0.0, trigger="2s")
    assert second == FreezeCamera("base", trigger="inference:in_prefix#2")


@pytest.mark.parametrize("cls", [BlockDismantlingEnv, TowelFoldingEnv])
def test_every_phase_of_the_task_is_known(cls):
    check_events([FreezeCamera(trigger=AtPhase(phase)) for phase in cls.phases], cls)
    with pytest.raises(ConfigError, match="unknown phase"):
        check_events([FreezeCamera(trigger=AtPhase("nap"))], cls)


def test_reset_refuses_what_can_never_fire(env):
    with pytest.raises(ConfigError, match="did you mean 'reach'"):
        env.reset_scene(0, {"events": ["shove@phase:reahc"]})
    made = gym.make(ENV_IDS["block_dismantling"], observation="state", max_episode_steps=3)
    made.reset(seed=0, options={"events": ["move_light@tick:1", "shove@tick:3"]})
    info, over = {}, False
    while not over:
        *_, over, info = made.step(np.zeros(14, np.float32))
    assert [event.kind for event in info["pending_events"]] == ["shove"]


def test_what_has_not_fired_is_pending_in_every_info(env):
    env.reset_scene(0, {"events": ["move_light@tick:2", "shove@phase:pull"]})
    light, shove = env._schedule.pending
    infos = [env.advance(env._home)[3] for _ in range(5)]
    pending = [info["pending_events"] for info in infos]
    assert pending == [(light, shove)] * 2 + [(shove,)] * 3


@pytest.mark.parametrize("distance", [0.03, 0.1])
def test_a_teleport_moves_the_assembly_as_far_as_it_says_in_its_tick(env, distance):
    event = Teleport(distance, 0.0, trigger=AtTick(7))
    places = []
    for events in ([], [event]):
        env.reset_scene(1, {"events": events})
        bricks = env.largest_cluster()
        assert rest(env, 7) == []
        before = env.data.qpos.copy()
        ((tick, record),) = rest(env, 1) or [(7, None)]
        places.append((before, env.middle_of(bricks)))
    assert tick == record.tick == 7 and np.array_equal(places[0][0], places[1][0])
    moved = places[1][1] - places[0][1]
    assert np.linalg.norm(moved) == pytest.approx(distance, abs=0.002)
    assert moved[:2] == pytest.approx(record.parameters["shift_m"][:2], abs=0.002)


def test_an_event_pending_at_a_snapshot_fires_again_after_a_restore(env):
    env.reset_scene(2, {"events": ["shove@tick:4", "move_light@phase:pull"]})
    rest(env, 3)
    before = env.snapshot()
    (first,) = rest(env, 4)
    after, places = env.snapshot(), env.data.qpos.copy()
    assert rest(env, 3) == []
    env.restore(before)
    (again,) = rest(env, 4)
    assert again == first and again[0] == 4
    assert np.array_equal(env.data.qpos, places)
    env.restore(after)
    assert rest(env, 3) == []


def test_a_snapshot_keeps_how_a_clutch_was_tied_again(env):
    env.reset_scene(0, {})
    rest(env, 2)
    upper = int(env.privileged().pos[:, 2].argmax())

    def tie_again(shift):
        env.open_clutches()
        env.displace([upper], np.array([shift, 0.0, 0.0]), 0.0)
        assert env.reattach(0.012) == [0]

    tie_again(0.006)
    tied, data = env.snapshot(), env.model.eq_data.copy()
    rest(env, 3)
    wanted = env.data.qpos.copy()
    tie_again(-0.01)
    assert not np.array_equal(env.model.eq_data, data)
    env.restore(tied)
    assert np.array_equal(env.model.eq_data, data) and env.privileged().joined.any()
    rest(env, 3)
    assert np.array_equal(env.data.qpos, wanted)
