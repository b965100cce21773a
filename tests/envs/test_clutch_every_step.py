"""A clutch opens in the physics step in which its load reaches the limit."""

from types import SimpleNamespace

import numpy as np
import pytest

from envs.block_dismantling.clutch import WAKEFUL_STEPS, WATCHFUL_LOAD
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.rules import LOOK_EVERY
from experiments.benchmarks.clutch_impacts import LATE, blow, drop, pull
from experiments.benchmarks.clutch_rig import ClutchRig
from policies.scripted.blocks.expert import BlockExpert


@pytest.mark.parametrize("strike", [blow, pull])
def test_a_clutch_struck_hard_opens_in_time(strike):
    found = strike((2, 4), 0.5, "0.2")
    assert found.opened and 1.0 <= found.peak <= LATE
    before = strike((2, 4), 0.5, "0.1")
    assert before.peak > LATE, "the first world looked sixty times a second"


def test_a_flat_fall_presses_a_pair_together():
    assert drop((2, 2), 0.2, 0.0, "0.2").peak < 0.05


class Watched:
    """A clutch whose load and whose scene's number of constraints are what a test says."""

    def __init__(self):
        rig = ClutchRig((2, 2), "0.2", (0.0, 0.0, 0.3))
        rig.step()
        self.clutches, self.load, self.rows = rig._clutches, 0.0, 10
        self.clutches.break_overloaded = self._look
        self.seen = 0

    def _look(self, _):
        self.seen += 1
        self.clutches._highest = self.load

    def looks(self, steps):
        """For each of the coming physics steps, whether the clutch was looked at."""
        before = self.seen
        out = []
        for _ in range(steps):
            self.clutches.watch(SimpleNamespace(nefc=self.rows))
            out.append(self.seen - before)
            before = self.seen
        return out


def test_unloaded_clutches_are_looked_at_now_and_then():
    watched = Watched()
    watched.looks(WAKEFUL_STEPS)
    assert watched.looks(2 * LOOK_EVERY) == 2 * [*[0] * (LOOK_EVERY - 1), 1]


def test_loaded_clutches_are_looked_at_in_every_step():
    watched = Watched()
    watched.looks(WAKEFUL_STEPS)
    watched.load = WATCHFUL_LOAD + 0.01
    watched.looks(LOOK_EVERY)
    assert watched.looks(20) == [1] * 20


def test_a_contact_that_comes_or_goes_wakes_the_watch():
    watched = Watched()
    watched.looks(WAKEFUL_STEPS)
    for rows in (13, 10):
        watched.looks(1)
        watched.rows = rows
        assert watched.looks(WAKEFUL_STEPS) == [1] * WAKEFUL_STEPS


def test_an_expert_opens_every_clutch_in_time_and_a_restored_episode_repeats_it():
    env = BlockDismantlingEnv(n_bricks=3, observation="state")
    expert = BlockExpert(env.kinematics)
    env.reset_scene(1)
    kept, info = env.snapshot(), {"break_loads": ()}
    while not info["break_loads"] and env.tick < 600:
        kept = env.snapshot()
        action = expert.action(env.robot_state(), env.privileged())
        info = env.advance(action)[3]
    loads, after = info["break_loads"], env.data.qpos.copy()
    assert loads and all(1.0 <= load <= LATE for load in loads)
    env.restore(kept)
    assert env.advance(action)[3]["break_loads"] == loads
    np.testing.assert_array_equal(env.data.qpos, after)
