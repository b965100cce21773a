"""Takeovers against the expert itself: labels are what it did from where a policy had led."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from shelf import Shelf

import envs.block_dismantling.events  # noqa: F401
from envs import ENV_IDS
from experiments.datagen.demonstrations import SampleRecorder
from experiments.datagen.takeovers import TakeoverConfig, record_takeovers
from policies.scripted.oracle import HORIZON, ChunkOracle
from policies.supervision.table import lesson
from xr0_sim.types import ActionChunk

SEED = 5
CONFIG = TakeoverConfig(policy_turn=(12, 20), expert_turn=9, max_ticks=100, event_share=0.0)
NOTHING = np.zeros((0, 14))


class Sagging:
    """A policy without prefix that lets both arms sink slowly, whatever it sees."""

    horizon, prefix_max = HORIZON, 0

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        steps = np.arange(1, HORIZON + 1)[:, None]
        slope = np.zeros(14)
        slope[[1, 8]] = 0.002
        return ActionChunk(observation.robot.command + steps * slope, observation.tick)


class Asking(SampleRecorder):
    """Asks the oracle at every captured tick, which leaves the episode as it is."""

    def __init__(self, oracle, taught, shelf):
        super().__init__(oracle, taught, shelf)
        self.oracle, self.asked = oracle, {}

    def frame(self):
        frame = super().frame()
        self.asked[frame.tick] = self.oracle.next_actions(NOTHING)
        return frame


def record(config):
    env = gym.make(ENV_IDS["block_dismantling"], image_size=32).unwrapped
    oracle, shelf, taught = ChunkOracle(env), Shelf(), lesson("block_dismantling")
    recorder = Asking(oracle, taught, shelf)
    success = record_takeovers(
        env, recorder, oracle, taught, {"sag": Sagging()}, config, SEED, "takeover"
    )
    env.close()
    return success, shelf.rows, recorder.asked


@pytest.fixture(scope="module")
def recorded():
    return record(CONFIG)


def test_the_expert_goes_on_from_where_the_policy_has_led(recorded):
    success, rows, asked = recorded
    assert not success  # 100 ticks are too few for it
    own = [row for row in rows if row["committed"] == 0]
    assert len(own) >= 4 and {row["source"] for row in rows} == {"takeover"}
    for row in own:
        np.testing.assert_array_equal(row["actions"], asked[row["tick"]])


def test_a_committed_prefix_is_what_the_policy_did(recorded):
    _, rows, _ = recorded
    begun = [row for row in rows if row["committed"]]
    assert len(begun) >= 2
    takeovers = {row["tick"] for row in rows if row["committed"] == 0}
    for row in begun:
        assert row["tick"] + row["committed"] in takeovers
        steps = np.diff(row["actions"][: row["committed"]], axis=0)
        np.testing.assert_allclose(steps[:, [1, 8]], 0.002)
        assert not np.allclose(row["actions"][row["committed"] + 3 :, :6], row["actions"][0, :6])


def test_what_an_event_changes_labels_nothing_before_it():
    share = TakeoverConfig(policy_turn=(12, 20), expert_turn=60, max_ticks=200, event_share=1.0)
    _, rows, asked = record(share)
    assert len(rows) < len(asked)
    for row in rows:
        if row["committed"] == 0:
            np.testing.assert_array_equal(row["actions"], asked[row["tick"]])
