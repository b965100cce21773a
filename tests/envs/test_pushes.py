"""Events that push: a paddle moves things as asked, stops at a hand, and nothing overlaps."""

import math

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.events import check_events, in_world
from envs.pushes import PUSH_RANGE
from envs.scene.placement import Trial
from envs.scene.pusher import FORCE_LIMIT, HOME, Stroke, sweep, sweep_s
from envs.towel_folding.env import TowelFoldingEnv
from envs.world import WORLDS
from experiments.benchmarks.events import OVERLAP_MM, EventTask, Watched, play, row
from experiments.runner.condition import choose_events
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.registry import parse_event
from xr0_sim.runtime.random_streams import Stream, stream_rng

TASKS = {"block_dismantling": BlockDismantlingEnv, "towel_folding": TowelFoldingEnv}


def play_home(env, seed, events, ticks):
    """Holds still; the record of the first event and the last info."""
    env.reset_scene(seed, {"events": events})
    records = []
    for _ in range(ticks):
        info = env.advance(env._home)[3]
        records += info["events"]
    return (records or [None])[0], info


def middle(env):
    if isinstance(env, TowelFoldingEnv):
        return env.points.mean(axis=0)
    return env.middle_of(env.largest_cluster())


@pytest.fixture(scope="module")
def stages():
    return {name: cls(observation="state") for name, cls in TASKS.items()}


def test_a_sweep_starts_and_ends_at_rest_and_its_speed_is_the_change_of_its_way():
    assert sweep(0.0)[:2] == (0.0, 0.0) and sweep(1.0) == (1.0, 0.0, 0.0)
    for share in np.linspace(0.01, 0.98, 40):
        way, speed, _ = sweep(share)
        assert (sweep(share + 1e-6)[0] - way) / 1e-6 == pytest.approx(speed, abs=1e-3)
    assert all(0.1 <= sweep_s(way) <= 0.2 + 1e-9 for way in np.linspace(*PUSH_RANGE, 7))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("distance", [0.03, 0.08])
def test_a_push_moves_its_thing_about_as_far_as_asked_in_the_time_it_says(stages, task, distance):
    env = stages[task]
    (event,) = choose_events(task, f"shove:distance_m={distance},off_centre_m=0@tick:3")
    env.reset_scene(1, {"events": [event]})
    before = middle(env)
    record, info = play_home(env, 1, [event], 20)
    (push,) = info["pushes"]
    moved = middle(env) - before
    way = np.array([math.cos(record.parameters["heading_rad"]), 0.0])
    way[1] = math.sin(record.parameters["heading_rad"])
    assert record.tick == push["tick"] == 3 and push["asked_m"] == distance
    assert push["moved_m"] == pytest.approx(distance, abs=0.012)
    assert np.linalg.norm(moved[:2]) == pytest.approx(push["moved_m"], abs=0.002)
    assert moved[:2] @ way > 0.9 * push["moved_m"]
    assert 0.1 <= push["duration_s"] <= 0.21
    assert push["duration_s"] == record.parameters["duration_s"]
    assert 0.0 < push["peak_force_n"] < FORCE_LIMIT


def test_a_push_is_not_over_before_its_time(stages):
    env = stages["block_dismantling"]
    play_home(env, 1, ["shove:distance_m=0.08@tick:0"], 1)
    places = [middle(env)[:2]]
    while env._pusher.busy:
        env.advance(env._home)
        places.append(middle(env)[:2])
    way = np.linalg.norm(np.array(places) - places[0], axis=1)
    during = (np.diff(way) > 1e-3).sum() / CONTROL_HZ
    assert 0.1 <= during <= 0.25
    assert np.diff(way).max() < 0.8 / CONTROL_HZ  # no jump: below 0.8 m/s


def test_the_size_is_drawn_anew_for_every_seed_where_none_is_asked_for(stages):
    env = stages["block_dismantling"]
    asked = [
        play_home(env, seed, ["shove@tick:0"], 1)[0].parameters["asked_m"] for seed in range(5)
    ]
    assert len(set(asked)) == 5 and all(PUSH_RANGE[0] <= a <= PUSH_RANGE[1] for a in asked)


def test_the_paddle_is_seen_while_it_pushes_and_gone_afterwards():
    env = BlockDismantlingEnv(render_mode="rgb_array", render_size=(120, 160))
    orange = []
    env.reset_scene(1, {"events": ["shove:distance_m=0.08@tick:1"]})
    for _ in range(16):
        env.advance(env._home)
        image = env.render().astype(int)
        red, green, blue = image[..., 0], image[..., 1], image[..., 2]
        orange.append(int(((red > 140) & (green < 0.6 * red) & (blue < 0.3 * red)).sum()))
    env.close()
    present = max(orange[1:5]) - orange[0]
    assert present >= 4 and orange[-1] == orange[0]
    assert np.array_equal(env.data.mocap_pos[env._pusher._mocap], HOME)


def test_a_hand_in_the_way_stops_the_paddle_and_is_pushed_no_harder_than_it_may(stages):
    env = stages["block_dismantling"]
    env.reset_scene(0, {})
    tool = env.data.site_xpos[env._ports.tool_sites[0]]
    base = (float(tool[0]) - 0.08, float(tool[1]), float(tool[2]) + 0.02)
    stroke = Stroke(0, (0,), base, 0.0, 0.12, 0.0, 0.1, (0.0, 0.0))
    assert env.begin_push([stroke]) is stroke
    pusher, forces = env._pusher, []
    drive = pusher.drive

    def watched(data):
        drive(data)
        forces.append(data.qfrc_applied[pusher._push.dof])

    pusher.drive = watched
    hand = env.data.site_xpos[env._ports.tool_sites[0]].copy()
    reached = []
    while pusher.busy:
        env.advance(env._home)
        reached.append(env.data.qpos[pusher._push.qpos])
    assert np.abs(forces).max() == FORCE_LIMIT and max(reached) < 0.11
    assert pusher.done[-1].peak_force_n < 3 * FORCE_LIMIT
    assert np.linalg.norm(env.data.site_xpos[env._ports.tool_sites[0]] - hand) < 0.05


@pytest.mark.parametrize("task", TASKS)
def test_a_snapshot_in_mid_push_goes_on_bit_for_bit(stages, task):
    env = stages[task]
    play_home(env, 2, ["shove@tick:1" if task[0] == "b" else "towel_shove@tick:1"], 4)
    assert env._pusher.busy
    state = env.snapshot()

    def go_on():
        infos = [env.advance(env._home)[3]["pushes"] for _ in range(10)]
        return infos, env.data.qpos.copy(), env.data.qvel.copy()

    first = go_on()
    play_home(env, 2, ["shove@tick:1" if task[0] == "b" else "towel_shove@tick:1"], 9)
    env.restore(state)
    again = go_on()
    assert first[0] == again[0] and first[0][-1]
    assert np.array_equal(first[1], again[1]) and np.array_equal(first[2], again[2])


def test_episodes_with_and_without_a_push_are_alike_until_it_begins(stages):
    env = stages["block_dismantling"]
    places = []
    for events in ([], ["shove@tick:6"]):
        play_home(env, 3, events, 6)
        places.append(env.data.qpos.copy())
    assert np.array_equal(*places)


def test_a_teleport_is_what_a_shove_was():
    """Against the arithmetic of the first release, in its world."""
    env = BlockDismantlingEnv(observation="state", world="0.1")
    for seed in range(3):
        env.reset_scene(seed, {})
        for _ in range(4):
            env.advance(env._home)
        rng = stream_rng(seed, Stream.EVENT, 0)
        bricks = env.largest_cluster()
        yaw = math.radians(15.0) * float(rng.uniform(-1, 1))
        where, shift = env.middle_of(bricks), np.zeros(3)
        for angle in rng.uniform(0, 2 * math.pi, 32):
            shift[:2] = 0.05 * np.array([math.cos(angle), math.sin(angle)])
            x, y = where[:2] + shift[:2]
            if -0.10 <= x <= 0.06 and -0.085 <= y <= 0.085:
                break
        env.displace(bricks, shift, yaw)
        for _ in range(6):
            env.advance(env._home)
        wanted = env.data.qpos.copy()
        play_home(env, seed, ["teleport@tick:4"], 10)
        assert np.array_equal(env.data.qpos, wanted)
        assert "pushes" not in env._info(())


@pytest.mark.parametrize(
    ("task", "instant"), [("block_dismantling", "teleport"), ("towel_folding", "towel_teleport")]
)
def test_a_world_without_a_paddle_teleports_and_refuses_pushes_that_are_forced_on_it(task, instant):
    (event,) = choose_events(task, "shove@tick:1", world="0.1")
    assert event.kind == instant
    env = TASKS[task](observation="state", world="0.1")
    with pytest.raises(ConfigError, match=rf"got world 0\.1; write {instant} for") as caught:
        env.reset_scene(0, {"events": choose_events(task, "shove@tick:1")})
    assert "\n" not in str(caught.value)
    check_events(choose_events(task, "teleport"), TASKS[task], world="0.1")
    names = ("shove", "drop") if task[0] == "b" else ("towel_shove", "gust")
    assert in_world(names, WORLDS["0.2"]) == names
    assert in_world(names, WORLDS["0.1"]) == (instant, names[1])


def held_brick(env, seed):
    """Plays the expert until a hand carries a brick; its number."""
    from policies.scripted.experts import make_expert

    expert = make_expert(env)
    env.reset_scene(seed, {})
    for _ in range(300):
        env.advance(expert.action(env.robot_state(), env.privileged()))
        if env.carried_bricks():
            return env.carried_bricks()[0]
    raise AssertionError("nothing was carried")


@pytest.mark.parametrize("kind", ["drop", "teleport_brick", "shove_brick"])
def test_nothing_is_put_into_anything_while_a_hand_carries_a_brick(stages, kind):
    env, event = stages["block_dismantling"], parse_event(kind)
    for seed in range(3):
        held_brick(env, seed)
        told = Watched(event, trigger="0s").apply(env, np.random.default_rng(seed))
        assert told["overlap_mm"] <= OVERLAP_MM
        if kind == "drop" and "refused" not in told:
            depths = Trial(env.model, env.data).depths()
            body = env._bodies.start + told["brick"]
            assert not [pair for pair in depths if body in pair]


def test_a_dropped_brick_stays_above_the_table_however_far_it_slips(stages):
    env = stages["block_dismantling"]
    held_brick(env, 0)
    height = env.data.xpos[env._bodies][held_brick(env, 0), 2]
    told = parse_event("drop:slip_m=0.1").apply(env, np.random.default_rng(0))
    lowest = env.corners_of([told["brick"]])[..., 2].min()
    assert "refused" in told or (lowest > -1e-3 and told["shift_m"][2] < 0)
    assert height < 0.2


def test_an_event_without_room_is_refused_and_told(stages):
    env = stages["block_dismantling"]
    env.fits = lambda *args, **kwargs: False
    try:
        record, _ = play_home(env, 0, ["teleport@tick:2"], 4)
    finally:
        del env.fits
    assert record.refused == "no free place" and record.parameters["refused"]
    record, info = play_home(env, 0, ["shove@tick:1", "shove_brick@tick:2"], 16)
    assert not record.refused and len(info["pushes"]) == 1
    record, _ = play_home(env, 0, ["drop@tick:1"], 3)
    assert record.refused == "no hand carries a brick"


def test_a_refused_event_makes_the_episode_invalid(capsys, tmp_path):
    from experiments.cli import main

    words = ["rollout", "--policy", "oracle", "--episodes", "1", "--max-seconds", "0.5"]
    main([*words, "--event", "drop@tick:2", "--no-video", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert "1 of 1 invalid: event did not fire: drop (no hand carries a brick)" in out


def test_the_table_of_the_benchmark_counts_what_it_saw():
    (event,) = choose_events("block_dismantling", "shove:distance_m=0.03@tick:2")
    task = EventTask(0, "block_dismantling", (("n_bricks", 2),), event, 20)
    found = play(task)
    assert found.fired and not found.refused and found.overlap_mm <= OVERLAP_MM
    assert found.moved_mm == pytest.approx(30.0, abs=12.0) and found.success is False
    line = row([found, found])
    assert line["n"] == line["fired"] == 2 and line["refused"] == 0
    assert line["expert"].startswith("0/2")
