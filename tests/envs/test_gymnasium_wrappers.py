"""The wrappers, vectors and recorders of Gymnasium and Stable-Baselines3, as they are."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import (
    FlattenObservation,
    FrameStackObservation,
    RecordEpisodeStatistics,
    RecordVideo,
    TimeLimit,
)

from envs import ENV_IDS
from envs.block_dismantling.assembly import PRESETS

BLOCKS, TOWEL = ENV_IDS["block_dismantling"], ENV_IDS["towel_folding"]
LEVELS = [
    *((BLOCKS, {"n_bricks": n, "layout": layout}) for n, layout in PRESETS.values()),
    *((TOWEL, {"level": level}) for level in ("half", "quarter", "flatten", "full")),
    (TOWEL, {"continuous": True}),
]
SIZE = (96, 160)


def make(env_id=BLOCKS, **kwargs):
    return gym.make(env_id, **{"observation": "state", **kwargs})


def still(env):
    """The action that is the middle of every range; any action does here."""
    return 0.0 * env.action_space.sample()


@pytest.mark.parametrize(
    ("env_id", "level"), LEVELS, ids=lambda part: "-".join(map(str, getattr(part, "values", str)()))
)
def test_every_id_starts_and_steps_at_every_level(env_id, level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(env_id, **level)
        observation, _ = env.reset(seed=1)
        assert env.observation_space.contains(observation)
        observation, *_ = env.step(still(env))
    assert env.observation_space.contains(observation)
    assert env.spec.max_episode_steps >= 40 * 30
    env.close()


def test_the_registry_lists_our_ids_once_and_in_their_own_namespace(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = gym.pprint_registry(disable_print=True)
    ours = text.split("===== xr0_sim =====")[1].split("=====")[0].split()
    assert sorted(ours) == sorted(ENV_IDS.values())
    assert text.count("xr0_sim/") == len(ENV_IDS)
    assert capsys.readouterr().out == ""


def test_episode_statistics_count_ticks_and_add_rewards_up():
    env = RecordEpisodeStatistics(make(max_episode_steps=4))
    env.reset(seed=1)
    rewards = []
    for _ in range(4):
        _, reward, _, truncated, info = env.step(still(env))
        rewards.append(reward)
    assert truncated and info["episode"]["l"] == 4
    assert info["episode"]["r"] == pytest.approx(sum(rewards))
    env.close()


def test_a_time_limit_of_gymnasium_is_obeyed_around_and_inside():
    inside, around = make(max_episode_steps=3), TimeLimit(make(), 3)
    for env in (inside, around):
        env.reset(seed=1)
        ends = [env.step(still(env))[3] for _ in range(3)]
        assert ends == [False, False, True]
        env.close()
    assert inside.spec.max_episode_steps == 3


def test_frames_are_stacked_key_by_key():
    env = FrameStackObservation(make(), 3)
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    observation, *_ = env.step(still(env))
    assert observation["proprio"].shape == (3, 54)
    assert observation["tick"].ravel().tolist() == [0, 0, 1]
    env.close()


@pytest.mark.parametrize("mode", ["state", "pixels"])
def test_observations_flatten(mode):
    plain = make(observation=mode, image_size=32)
    env = FlattenObservation(plain)
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    length = sum(int(np.prod(part.shape)) for part in plain.observation_space.values())
    assert observation.shape == (length,)
    back = gym.spaces.unflatten(plain.observation_space, observation)
    assert np.allclose(back["proprio"], plain.unwrapped.gym_observation()["proprio"])
    env.close()


def test_record_video_writes_a_film_with_a_frame_per_step(tmp_path):
    pytest.importorskip("moviepy")
    import imageio.v3 as iio

    env = RecordVideo(
        make(render_mode="rgb_array", render_size=SIZE, max_episode_steps=5),
        str(tmp_path / "films"),
        episode_trigger=lambda number: number == 0,
    )
    env.reset(seed=1)
    while not env.step(still(env))[3]:
        pass
    env.close()
    (film,) = tmp_path.glob("films/*.mp4")
    frames = iio.imread(film)
    assert len(frames) >= 5 and frames.shape[1:] == (*SIZE, 3) and frames.std() > 10
    assert env.metadata["render_fps"] == 30


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_vectors_reset_themselves_in_every_mode(mode):
    vec = gym.make_vec(
        BLOCKS,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        observation="state",
        max_episode_steps=2,
    )
    vec.reset(seed=[3, 4])
    assert vec.metadata["autoreset_mode"] is mode
    action = 0.0 * vec.action_space.sample()
    vec.step(action)
    observation, _, _, truncated, info = vec.step(action)
    assert truncated.all()
    if mode is AutoresetMode.SAME_STEP:
        assert observation["tick"].ravel().tolist() == [0, 0]
        assert [seen["tick"][0] for seen in info["final_obs"]] == [2, 2]
    elif mode is AutoresetMode.NEXT_STEP:
        assert observation["tick"].ravel().tolist() == [2, 2]
        assert vec.step(action)[0]["tick"].ravel().tolist() == [0, 0]
    else:
        mask = {"reset_mask": np.array([True, False])}
        assert vec.reset(options=mask)[0]["tick"].ravel().tolist() == [0, 2]
    vec.close()


def sb3_env():
    return gym.make(
        BLOCKS,
        observation="state",
        render_mode="rgb_array",
        render_size=SIZE,
        max_episode_steps=3,
    )


def test_sb3_steps_environments_in_spawned_processes():
    from stable_baselines3.common.vec_env import SubprocVecEnv

    vec = SubprocVecEnv([sb3_env, sb3_env], start_method="spawn")
    try:
        vec.seed(5)
        first = vec.reset()
        assert first["proprio"].shape == (2, 54)
        alone = sb3_env()
        expected = [alone.reset(seed=5 + row)[0]["privileged"] for row in range(2)]
        assert np.array_equal(first["privileged"], expected)
        action = np.zeros((2, 14), np.float32)
        dones = [vec.step(action)[2].tolist() for _ in range(3)]
        assert dones == [[False, False], [False, False], [True, True]]
    finally:
        vec.close()


def test_sb3_records_a_film_of_a_vector(tmp_path):
    pytest.importorskip("moviepy")
    import imageio.v3 as iio
    from stable_baselines3.common.vec_env import DummyVecEnv, VecVideoRecorder

    vec = VecVideoRecorder(
        DummyVecEnv([sb3_env]),
        str(tmp_path),
        record_video_trigger=lambda step: step == 0,
        video_length=4,
    )
    vec.seed(1)
    vec.reset()
    for _ in range(5):
        vec.step(np.zeros((1, 14), np.float32))
    vec.close()
    (film,) = tmp_path.glob("*.mp4")
    assert len(iio.imread(film)) == 1 + 4  # the first frame and one per step
