"""Demonstrations against a replay of their episode: what was seen, said and labelled."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs import ENV_IDS
from experiments.datagen import demonstrations
from policies.scripted.disturbance import Disturbance, DisturbanceConfig
from policies.scripted.oracle import HORIZON, ChunkOracle
from policies.supervision.table import lesson
from xr0_sim.conventions import CAMERAS

SEED = 3
CHANGE = "change_instruction@tick:20"
CONFIG = demonstrations.DemoConfig(stride=(12, 14), event_share=1.0, max_ticks=100)
NOTHING = np.zeros((0, 14))


class Shelf:
    """Keeps what a writer of a store would be given."""

    def __init__(self):
        self.rows = []

    def add(self, **row):
        self.rows.append(row)


@pytest.fixture(scope="module")
def recorded():
    """Samples of one episode, what its robot executed, and the stage it was played on."""
    env = gym.make(ENV_IDS["block_dismantling"], image_size=32).unwrapped
    oracle, shelf, executed = ChunkOracle(env), Shelf(), []

    class Watched(Disturbance):
        def apply(self, action, command):
            out = super().apply(action, command)
            executed.append((out, out is not action))
            return out

    taught = replace(
        lesson("block_dismantling"),
        events=(CHANGE,),
        disturbance=DisturbanceConfig(rate_hz=0.3, start_offset_m=0.0),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demonstrations, "Disturbance", Watched)
        recorder = demonstrations.SampleRecorder(oracle, taught, shelf)
        demonstrations.record_demonstration(env, recorder, oracle, taught, CONFIG, SEED)
    yield oracle, shelf.rows, executed
    env.close()


@pytest.fixture(scope="module")
def replayed(recorded):
    """Tick -> state, pictures, instruction and the oracle's chunk there, for every sample."""
    oracle, rows, executed = recorded
    env, wanted, found = oracle.env, {row["tick"] for row in rows}, {}
    env.reset_scene(SEED, {"events": [CHANGE]})
    for tick, (action, _) in enumerate(executed):
        if tick in wanted:
            pictures = np.stack([env.camera_images()[name] for name in CAMERAS])
            chunk = oracle.next_actions(NOTHING)
            found[tick] = env.robot_state(), pictures, env.instruction, chunk
        env.advance(action)
    return found


def test_samples_say_what_the_episode_showed_at_their_tick(recorded, replayed):
    _, rows, _ = recorded
    assert len(rows) >= 6
    for row in rows:
        robot, pictures, instruction, _ = replayed[row["tick"]]
        for name, value in vars(robot).items():
            assert np.array_equal(getattr(row["robot"], name), value), name
        assert np.array_equal(row["images"], pictures)
        assert row["instruction"] == instruction
        assert (row["episode_seed"], row["committed"], row["source"]) == (SEED, 0, "demo")


def test_the_instruction_changes_within_the_episode(recorded):
    _, rows, _ = recorded
    # The event fires at the start of tick 20 and is seen from tick 21 on.
    early = {row["instruction"] for row in rows if row["tick"] <= 20}
    late = {row["instruction"] for row in rows if row["tick"] > 20}
    assert len(early) == len(late) == 1 and early != late


def test_labels_are_what_the_oracle_says_at_the_captured_tick(recorded, replayed):
    _, rows, _ = recorded
    for row in rows:
        assert row["valid_steps"] == HORIZON
        np.testing.assert_allclose(row["actions"], replayed[row["tick"]][3], rtol=0, atol=1e-12)


def test_injected_mistakes_are_executed_and_not_labels(recorded):
    _, rows, executed = recorded
    actions = np.stack([action for action, _ in executed])
    disturbed = np.array([changed for _, changed in executed])
    mistaken = clean = 0
    for row in rows:
        window = slice(row["tick"], row["tick"] + HORIZON)
        if len(actions) < window.stop:
            continue
        same = np.array_equal(row["actions"], actions[window])
        if disturbed[window].any():
            mistaken += 1
            first = int(np.flatnonzero(disturbed[window])[0])
            assert not np.array_equal(row["actions"][first], actions[window][first])
        elif not row["tick"] <= 20 < window.stop:
            clean += 1
            assert same
    assert mistaken > 0 and clean > 0


def test_tool_poses_are_those_of_the_labels(recorded):
    oracle, rows, _ = recorded
    row = rows[0]
    joints = row["actions"].reshape(HORIZON, 2, 7)[..., :6]
    position, quaternion = oracle.env.kinematics.forward(joints)
    assert np.array_equal(row["action_tools"][..., :3], position)
    assert np.array_equal(row["action_tools"][..., 3:], quaternion)
