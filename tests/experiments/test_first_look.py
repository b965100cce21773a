"""``bench first-look``: where a policy looks first behind an event, and what counts as wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.tasks import make_env, register_events
from experiments.benchmarks import first_look
from experiments.benchmarks.first_look import (
    MISREADINGS,
    BenchFirstLookConfig,
    Misreading,
    compare,
    drive,
    misreadings,
    run,
)
from policies.scripted.oracle import ChunkOracle
from xr0_sim.errors import ConfigError
from xr0_sim.types import ActionChunk

TASK = "block_dismantling"


class Planner:
    """The expert as policy; hands may be lifted, jaws shut."""

    def __init__(self, oracle: ChunkOracle, jaw: float | None = None) -> None:
        self.oracle, self.jaw, self.looks = oracle, jaw, []

    def reset(self, episode_seed):
        self.looks = []

    def infer_batch(self, requests):
        self.looks.append(self.oracle.env.tick)
        actions = self.oracle.next_actions(requests[0].prefix)
        if self.jaw is not None:
            actions[:, [6, 13]] = self.jaw
        return [ActionChunk(actions, self.oracle.env.tick)]


@pytest.fixture
def oracle():
    register_events(TASK)
    env = make_env(TASK, image_size=32, n_bricks=2)
    yield ChunkOracle(env)
    env.close()


def test_the_look_is_the_first_one_behind_the_event(oracle):
    planner = Planner(oracle)
    tick = drive(oracle.env, planner, 8, 701, "teleport@tick:11")
    assert tick == 16 and oracle.env.tick == 16
    assert planner.looks == [0, 8]
    assert drive(oracle.env, planner, 8, 701, "", until=16) == 16


def test_the_expert_itself_is_never_off(oracle):
    planner = Planner(oracle)
    drive(oracle.env, planner, 8, 701, "teleport@tick:11")
    look = compare(oracle, planner, 701)
    assert np.array_equal(look.error_m, np.zeros((2, 2)))
    assert not look.wrong_jaw.any() and not look.closes_early.any()


def test_a_jaw_that_shuts_while_the_experts_stays_open_is_early(oracle):
    planner = Planner(oracle)
    drive(oracle.env, planner, 8, 701, "", until=8)
    shut = compare(oracle, Planner(oracle, jaw=0.0), 701)
    assert shut.error_m.max() < 1e-9
    assert shut.closes_early.all() and shut.wrong_jaw.all()


def test_an_event_that_never_fires_is_one_line(monkeypatch):
    monkeypatch.setattr(first_look, "LATEST_TICK", 20)
    with pytest.raises(ConfigError, match="never fired"):
        run(BenchFirstLookConfig(event="teleport@never", episodes=1, execution_horizon=30))
    with pytest.raises(ConfigError, match="execution-horizon 1"):
        run(BenchFirstLookConfig(execution_horizon=31))
    with pytest.raises(ConfigError, match="--misread-mm: expected 0"):
        run(BenchFirstLookConfig(misread_mm=-1))


def test_an_expert_that_misreads_plans_about_as_far_off(oracle):
    drive(oracle.env, Planner(oracle), 8, 701, "", until=16)
    exact = misreadings(oracle, 0.0, 701)
    assert all(np.array_equal(look.error_m, np.zeros((2, 2))) for look in exact)
    looks = misreadings(oracle, 0.009, 701)
    assert len(looks) == MISREADINGS and oracle.env.tick == 16
    assert 0.002 < np.median([look.error_m for look in looks]) < 0.03


def test_what_a_hand_holds_is_read_as_it_is(oracle):
    env = oracle.env
    env.reset_scene(701)
    off = Misreading(oracle.expert, np.array([0.02, 0.0, 0.0]))
    robot, state = env.robot_state(), env.privileged()
    exact = oracle.expert.action(robot, state)
    assert not np.array_equal(off.action(robot, state), exact)
    held = replace(state, gripped=np.array([0, -1]))
    np.testing.assert_array_equal(off.action(robot, held), oracle.expert.action(robot, held))


def test_closing_when_the_expert_closes_is_not_early(oracle):
    planner = Planner(oracle)
    drive(oracle.env, planner, 8, 701, "", until=24)
    best = oracle.next_actions(np.zeros((0, 14)))[:20, [6, 13]].min(0)
    look = compare(oracle, Planner(oracle, jaw=0.0), 701)
    assert best.min() < 0.4
    np.testing.assert_array_equal(look.closes_early, best > 0.4)


def test_an_expert_whose_state_tells_no_places_cannot_misread(oracle):
    blind = Misreading(oracle.expert, np.zeros(3))
    oracle.env.reset_scene(701)
    with pytest.raises(ConfigError, match=r"expected a state that tells places.*leave the option"):
        blind.action(oracle.env.robot_state(), object())
