"""Every registered environment is tested for free: checkers, determinism, pickling, snapshots."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs import ENV_IDS

IDS = sorted(ENV_IDS.values())
VARIANTS = [{"observation": "pixels", "image_size": 64}, {"observation": "state"}]


def make(env_id, **kwargs):
    return gym.make(env_id, **kwargs)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("kwargs", VARIANTS, ids=["pixels", "state"])
def test_gymnasium_checker_has_nothing_to_say(env_id, kwargs):
    env = make(env_id, render_mode="rgb_array", render_size=(96, 160), **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()
    env.close()


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("kwargs", VARIANTS, ids=["pixels", "state"])
def test_sb3_checker_has_nothing_to_say(env_id, kwargs):
    from stable_baselines3.common.env_checker import check_env as check_sb3

    env = make(env_id, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sb3(env)
    env.close()


def rollout(env, seed, ticks=25):
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    trace = [observation["proprio"]]
    for _ in range(ticks):
        action = rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
        observation, reward, *_ = env.step(action)
        trace += [observation["proprio"], np.float64([reward])]
    return np.concatenate([np.ravel(t) for t in trace])


@pytest.mark.parametrize("env_id", IDS)
def test_same_seed_same_bits_in_a_fresh_and_a_used_environment(env_id):
    fresh, used = make(env_id, observation="state"), make(env_id, observation="state")
    rollout(used, 7)
    assert rollout(fresh, 3).tobytes() == rollout(used, 3).tobytes()
    assert rollout(fresh, 3).tobytes() != rollout(fresh, 4).tobytes()


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("mode", ["joint", "tool"])
def test_snapshot_replays_bit_for_bit(env_id, mode):
    env = make(env_id, observation="state", action_mode=mode).unwrapped
    rng = np.random.default_rng(0)
    env.reset(seed=1)
    home = env.action_space.sample() * 0
    for _ in range(10):
        env.step(home)
    state = env.snapshot()
    actions = rng.uniform(env.action_space.low, env.action_space.high, (40, 14))
    traces = []
    for _ in range(2):
        env.restore(state)
        traces.append(np.concatenate([env.step(a)[0]["privileged"] for a in actions]).tobytes())
    assert traces[0] == traces[1]


@pytest.mark.parametrize("env_id", IDS)
def test_environment_pickles_before_and_after_rendering(env_id):
    env = make(env_id, image_size=64).unwrapped
    env.reset(seed=0)
    copy = pickle.loads(pickle.dumps(env))
    a, b = rollout(env, 5, 5), rollout(copy, 5, 5)
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("env_id", IDS)
def test_vectorised_environments_match_single_ones(env_id):
    venv = gym.make_vec(
        env_id, num_envs=2, vectorization_mode="sync", vector_kwargs={}, observation="state"
    )
    observation, _ = venv.reset(seed=[11, 12])
    single = make(env_id, observation="state")
    for row, seed in enumerate((11, 12)):
        expected, _ = single.reset(seed=seed)
        for key, value in expected.items():
            assert np.array_equal(observation[key][row], value), key


@pytest.mark.parametrize("env_id", IDS)
def test_vectorised_in_spawned_processes(env_id):
    venv = gym.make_vec(
        env_id,
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "spawn"},
        image_size=64,
    )
    try:
        observation, _ = venv.reset(seed=3)
        assert observation["image_base"].shape == (2, 64, 64, 3)
        observation, reward, *_ = venv.step(venv.action_space.sample())
        assert np.isfinite(reward).all()
    finally:
        venv.close()
