"""Every door to a chunk policy runs the same loop: Gymnasium's resets, SB3, plain loops."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

import envs  # noqa: F401  (registers the ids)
from policies.chunk_policy import ChunkPolicy
from policies.episode_records import EpisodeRecords
from xr0_sim.errors import ConfigError
from xr0_sim.runtime import Constant, LastDelay, NaiveAsync, PrefixAsync, Sync
from xr0_sim.types import ActionChunk

ID = "xr0_sim/BlockDismantling-v0"
TICKS = 6
EVENTS = {"events": ["shove@tick:2"]}


class Seen:
    """Writes down what it is shown, and moves the arms on."""

    horizon, needs_images = 30, False

    def __init__(self):
        self.seen = []

    def reset(self, seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        robot = observation.robot
        self.seen.append((round(float(robot.joint_pos[0][0]), 3), observation.instruction))
        rows = np.arange(30)[:, None] * 0.01
        actions = np.tile(robot.command, (30, 1)) + rows
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, observation.tick)


def make(wrapper=None, **kwargs):
    env = gym.make(ID, n_bricks=2, image_size=32, max_episode_steps=TICKS, **kwargs)
    return env if wrapper is None else wrapper(env)


def vector(mode, count=1, wrappers=()):
    return gym.make_vec(
        ID,
        num_envs=count,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        wrappers=list(wrappers),
        n_bricks=2,
        image_size=32,
        max_episode_steps=TICKS,
    )


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_an_episode_is_shown_its_own_first_frame_under_every_reset(mode, told):
    model = Seen()
    policy = ChunkPolicy(model, Sync(20))
    vec = vector(mode)
    observation, _ = vec.reset(seed=0)
    firsts = [observation["instruction"][0].tobytes()]
    start = np.ones(1, bool)
    for _ in range(2 * TICKS):
        action, _ = policy.predict(observation, episode_start=start if told else None)
        observation, _, term, trunc, _ = vec.step(action)
        start = term | trunc
        if mode is AutoresetMode.DISABLED and start.any():
            observation, _ = vec.reset(options={"reset_mask": start})
        if observation["tick"][0, 0] == 0:
            firsts.append(observation["instruction"][0].tobytes())
    assert [angle for angle, _ in model.seen] == [0.0] * len(model.seen)
    instructions = [text.rstrip(b"\0").decode() for text in firsts]
    assert [text for _, text in model.seen] == instructions[: len(model.seen)]
    assert len(model.seen) == 2 and len(set(instructions[:2])) == 2


def logs_of(mode, strategy, latency_s, count):
    records = EpisodeRecords()
    policy = ChunkPolicy(
        Seen(), strategy, Constant(latency_s), estimator=LastDelay(), subscribers=records.lane
    )
    vec = vector(mode, count, [policy.watch])
    observation, _ = vec.reset(seed=0, options=EVENTS)
    start = np.ones(count, bool)
    while len(records.episodes) < count:
        action, _ = policy.predict(observation, episode_start=start)
        observation, _, term, trunc, _ = vec.step(action)
        start = term | trunc
    return records


@pytest.mark.parametrize(
    ("strategy", "latency_s"), [(Sync(3), 0.05), (NaiveAsync(3), 0.08), (PrefixAsync(3), 0.05)]
)
def test_tick_logs_events_and_figures_are_equal_under_every_reset(strategy, latency_s):
    found = {mode: logs_of(mode, strategy, latency_s, 2) for mode in AutoresetMode}
    digests = {
        mode: sorted(record.ticks.digest() for record in records.episodes)
        for mode, records in found.items()
    }
    assert len({tuple(values) for values in digests.values()}) == 1
    for records in found.values():
        for record in records.episodes:
            assert [(event.kind, event.tick) for event in record.result.events] == [("shove", 2)]
            assert record.result.outcome == "failure" and record.result.ticks == TICKS
            assert (record.ticks["estimated_ticks"] == 3).any(), "the estimator's first belief"
            assert record.figures()["model_calls"] >= 1


def test_sb3_evaluates_with_tick_logs_of_its_own_episodes():
    records = EpisodeRecords()
    policy = ChunkPolicy(Seen(), Sync(3), Constant(0.05), subscribers=records.lane)
    env = policy.watch(make())
    env.reset(seed=0)
    evaluate_policy(policy, env, n_eval_episodes=2, warn=False)
    done = [record for record in records.episodes if record.result.ticks == TICKS]
    assert len(done) == 2
    assert [record.result.outcome for record in done] == ["failure"] * 2
    assert np.isfinite(done[0].ticks["reward"]).all()


def test_sb3_over_two_environments_has_a_log_for_each():
    records = EpisodeRecords()
    policy = ChunkPolicy(Seen(), Sync(3), subscribers=records.lane)
    vec = DummyVecEnv([lambda: make(policy.watch)] * 2)
    evaluate_policy(policy, vec, n_eval_episodes=2, warn=False)
    assert {record.lane for record in records.episodes} == {0, 1}


def test_an_unwatched_policy_still_logs_its_decisions():
    records = EpisodeRecords()
    policy = ChunkPolicy(Seen(), Sync(3), subscribers=records.lane)
    env = make()
    for _ in range(2):
        observation, _ = env.reset(seed=3)
        start = True
        for _ in range(TICKS):
            action, _ = policy.predict(observation, episode_start=np.array([start]))
            observation, *_ = env.step(action)
            start = False
    policy.reset()
    assert [record.result.outcome for record in records.episodes] == ["unknown", "interrupted"]
    assert len(records.episodes[0].ticks) == TICKS


def test_seeds_are_whole_numbers_of_any_kind():
    for seed in (np.int64(3), 3):
        ChunkPolicy(Seen(), seed=seed)
    for seed in (True, 1.5, -1, "1"):
        with pytest.raises(ConfigError, match="seed: expected an integer >= 0"):
            ChunkPolicy(Seen(), seed=seed)
