"""Detours against the expert itself: what labels a sample is what it would do from there."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from shelf import Shelf

import envs.block_dismantling.events  # noqa: F401
from envs import ENV_IDS
from experiments.cli import main
from experiments.datagen.demonstrations import SampleRecorder
from experiments.datagen.detours import (
    AFTER_EVENTS,
    DETOURS,
    FIRST_REACH,
    DetourConfig,
    record_detours,
)
from policies.scripted.oracle import HORIZON, ChunkOracle
from policies.supervision.table import lesson

SEED = 3
CONFIG = DetourConfig(gap=(30, 35), trunk_stride=(25, 30), watched=3, max_ticks=62)
NOTHING = np.zeros((0, 14))


class Asking(SampleRecorder):
    """Asks the oracle at every captured tick, which leaves the episode as it is."""

    def __init__(self, oracle, taught, shelf):
        super().__init__(oracle, taught, shelf)
        self.oracle, self.asked, self.fired = oracle, {}, {}

    def frame(self):
        frame = super().frame()
        self.asked[id(frame)] = frame, self.oracle.next_actions(NOTHING)
        return frame

    def store(self, frame, actions, committed, seed, source):
        super().store(frame, actions, committed, seed, source)
        self._writer.rows[-1]["oracle"] = self.asked[id(frame)][1]


@pytest.fixture(scope="module", params=DETOURS)
def recorded(request):
    """Kind, samples, and the actions of the trunk."""
    env = gym.make(ENV_IDS["block_dismantling"], image_size=32).unwrapped
    oracle, shelf = ChunkOracle(env), Shelf()
    taught = replace(lesson("block_dismantling"), events=("teleport",))
    record_detours(env, Asking(oracle, taught, shelf), oracle, taught, request.param, SEED, CONFIG)
    env.reset_scene(SEED)
    trunk = []
    while env.tick < CONFIG.max_ticks:
        trunk.append(oracle.expert.action(env.robot_state(), env.privileged()))
        env.advance(trunk[-1])
    yield request.param, shelf.rows, trunk
    env.close()


def test_labels_are_what_the_expert_does_from_there(recorded):
    source, rows, _ = recorded
    kinds = {row["source"] for row in rows}
    assert kinds == {"demo", source}
    for row in rows:
        assert row["valid_steps"] == len(row["actions"]) == HORIZON
        if row["committed"] == 0:
            np.testing.assert_array_equal(row["actions"], row["oracle"])
        else:
            assert not np.array_equal(row["actions"], row["oracle"])


def test_a_late_look_begins_with_the_old_plan(recorded):
    source, rows, trunk = recorded
    begun = [row for row in rows if row["committed"]]
    assert bool(begun) == (source in AFTER_EVENTS)
    for row in begun:
        own = slice(row["tick"], row["tick"] + row["committed"])
        np.testing.assert_array_equal(row["actions"][: row["committed"]], trunk[own])


def test_no_two_detours_are_alike(recorded):
    source, rows, _ = recorded
    commands = [row["robot"].command.tobytes() for row in rows if row["source"] == source]
    assert len(set(commands)) == len(commands)


def test_a_first_reach_ends_with_the_first_grasp():
    env = gym.make(ENV_IDS["block_dismantling"], image_size=32).unwrapped
    oracle, shelf = ChunkOracle(env), Shelf()
    taught = replace(lesson("block_dismantling"), events=("teleport",))
    assert record_detours(
        env, SampleRecorder(oracle, taught, shelf), oracle, taught, FIRST_REACH, SEED
    )
    env.reset_scene(SEED)
    while env.phase in {"approach", "reach", "grasp"}:
        env.advance(oracle.expert.action(env.robot_state(), env.privileged()))
    trunk = [row["tick"] for row in shelf.rows if row["source"] == "demo"]
    assert trunk
    assert max(trunk) <= env.tick
    assert sum(row["source"] == FIRST_REACH for row in shelf.rows) > 2 * len(trunk)
    env.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--source", "late_look", "--event-share", "0.5"], "follows an event"),
        (["--source", "recovery", "--events", "shove"], "nothing happens there"),
        (["--source", "start_anywhere", "--event-share", "1"], "nothing happens there"),
        (["--source", "recovery", "--checkpoint", "block_dismantling"], "without --checkpoint"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, told, tmp_path, capsys):
    assert main(["collect", "--out", str(tmp_path / "store"), *options]) == 2
    message = capsys.readouterr().err.strip().splitlines()
    assert len(message) == 1
    assert told in message[0]
    assert not (tmp_path / "store").exists()
