"""Drifts: what lies on the table goes at the asked speed to the edge, and no further."""

import math

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.events import FREE_AREA
from envs.drifts import LONG_WAY, way_to_edge
from envs.scene.belt import EDGE
from envs.towel_folding.env import TowelFoldingEnv
from experiments.runner.condition import choose_events
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError

TASKS = {"block_dismantling": BlockDismantlingEnv, "towel_folding": TowelFoldingEnv}
AREA = ((-0.1, 0.1), (-0.05, 0.05))


@pytest.fixture(scope="module")
def stages():
    return {name: cls(observation="state", world="0.1") for name, cls in TASKS.items()}


def middle(env):
    if isinstance(env, TowelFoldingEnv):
        return env.points[:, :2].mean(axis=0)
    return env.middle_of(env.largest_cluster())[:2]


def drift_of(task, text):
    return list(choose_events(task, text))


def hold(env, ticks):
    """Holds still; records that fired and the last info."""
    records = []
    for _ in range(ticks):
        info = env.advance(env._home)[3]
        records += info["events"]
    return records, info


def test_the_way_to_the_edge_in_closed_form():
    assert way_to_edge((0, 0), AREA, 0.0) == pytest.approx(0.1)
    assert way_to_edge((0.02, 0.01), AREA, math.pi / 2) == pytest.approx(0.04)
    assert way_to_edge((0, 0), AREA, math.pi / 4) == pytest.approx(0.05 * math.sqrt(2))
    assert way_to_edge((-0.15, 0), AREA, 0.0) == pytest.approx(0.25)  # in, and out again
    assert way_to_edge((0.15, 0), AREA, 0.0) == 0.0 == way_to_edge((0, 0.06), AREA, 0.0)


@pytest.mark.parametrize(
    ("task", "world"),
    [("block_dismantling", "0.1"), ("block_dismantling", "0.2"), ("towel_folding", "0.1")],
)
def test_it_goes_at_the_asked_speed_and_stops_at_the_edge(task, world):
    env = TASKS[task](observation="state", world=world)
    env.reset_scene(1, {"events": drift_of(task, "drift:speed=0.2@tick:2")})
    hold(env, 2)
    places, records = [middle(env)], []
    for _ in range(30):
        records += hold(env, 1)[0]
        places.append(middle(env))
    told = records[0].parameters
    ahead = np.array([math.cos(told["heading_rad"]), math.sin(told["heading_rad"])])
    along = (np.array(places) - places[0]) @ ahead
    assert np.abs((np.array(places) - places[0]) @ [-ahead[1], ahead[0]]).max() < 1e-3
    assert told["way_m"] >= LONG_WAY and records[0].tick == 2
    steps = round(told["duration_s"] * CONTROL_HZ)
    assert told["way_m"] - 0.2 / CONTROL_HZ < 0.2 * told["duration_s"] <= told["way_m"] + 1e-9
    # Friction needs v / (mu g), 30 to 60 ms, to carry it along.
    assert np.diff(along)[3:steps] == pytest.approx(0.2 / CONTROL_HZ, rel=0.02)
    assert along[-1] == pytest.approx(0.2 * told["duration_s"], abs=0.012)
    assert along[-1] <= told["way_m"] + 1e-3 and np.diff(along)[steps + 3 :].max() < 1e-4
    (drift,) = hold(env, 1)[1]["drifts"]
    assert drift["tick"] == 2 and drift["stopped"] == EDGE
    assert drift["ran_m"] == pytest.approx(0.2 * told["duration_s"])
    assert not env.model.flg_surfacevel and not env.model.geom_surfacevel.any()


def test_a_drift_under_way_says_how_far_it_came(stages):
    env = stages["block_dismantling"]
    env.reset_scene(1, {"events": ["drift:speed=0.03@tick:1"]})
    assert hold(env, 1)[1]["drifts"] == ()
    (drift,) = hold(env, 10)[1]["drifts"]
    assert drift == {"tick": 1, "ran_m": pytest.approx(0.01), "stopped": None}


@pytest.mark.parametrize("task", TASKS)
def test_a_snapshot_in_mid_drift_goes_on_bit_for_bit(stages, task):
    env = stages[task]
    events = drift_of(task, "drift:speed=0.3@tick:1")
    env.reset_scene(2, {"events": events})
    hold(env, 6)
    state = env.snapshot()

    def go_on():
        infos = [hold(env, 1)[1]["drifts"] for _ in range(8)]
        return infos, env.data.qpos.copy(), env.data.qvel.copy()

    first = go_on()
    assert first[0][-1][0]["ran_m"] == pytest.approx(0.09 if task[0] == "b" else 0.12, abs=0.02)
    env.restore(state)
    assert env.model.flg_surfacevel
    again = go_on()
    assert first[0] == again[0]
    assert np.array_equal(first[1], again[1]) and np.array_equal(first[2], again[2])


def test_every_speed_goes_the_same_way_and_a_direction_is_taken(stages):
    env = stages["block_dismantling"]
    headings = []
    for text in ("drift:speed=0.02@tick:0", "drift:speed=0.3@tick:0"):
        env.reset_scene(3, {"events": [text]})
        headings.append(hold(env, 1)[0][0].parameters["heading_rad"])
    assert headings[0] == headings[1]
    env.reset_scene(3, {"events": ["drift:speed=0.1,direction_deg=90@tick:0"]})
    before = middle(env)
    told = hold(env, 10)[0][0].parameters
    moved = middle(env) - before
    assert moved[1] > 0.02 and abs(moved[0]) < 1e-3
    assert told["way_m"] == pytest.approx(FREE_AREA[1][1] - before[1])


def test_what_lies_in_a_tray_stays_and_what_lies_on_the_table_goes(stages):
    env = stages["block_dismantling"]
    env.reset_scene(0, {"events": ["drift:speed=0.2,direction_deg=180@tick:6"]})
    env.open_clutches()
    tray, loose = (env.data.xpos[env._bodies][i].copy() for i in (0, 1))
    bin_pos = env.data.geom("bin_left_floor").xpos
    env.displace([0], np.array([*(bin_pos[:2] - tray[:2]), 0.03]), 0.0)
    env.displace([1], np.array([0.03 - loose[0], -loose[1], 0.011 - loose[2]]), 0.0)
    hold(env, 6)
    before = env.data.xpos[env._bodies].copy()
    hold(env, 12)
    moved = env.data.xpos[env._bodies] - before
    assert abs(moved[0, 0]) < 2e-3 and moved[1, 0] < -0.05


def test_what_cannot_drift_is_refused(stages):
    env = stages["block_dismantling"]
    env.reset_scene(1, {"events": ["drift@tick:0", "drift:speed=0.1@tick:2"]})
    refused = hold(env, 3)[0][1].refused
    assert "runs already" in refused
    env.reset_scene(1, {"events": ["drift:direction_deg=0@tick:1"]})
    bricks = env.largest_cluster()
    env.displace(bricks, np.array([FREE_AREA[0][1] - middle(env)[0] - 0.004, 0.0, 0.0]), 0.0)
    assert "no room" in hold(env, 2)[0][0].refused
    for wrong in ("speed=0", "speed=2", "direction_deg=400", "speed=nan"):
        with pytest.raises(ConfigError, match="expected"):
            choose_events("block_dismantling", f"drift:{wrong}")
