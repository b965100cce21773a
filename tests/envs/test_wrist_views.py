"""Every policy camera shows what it is named after."""

from __future__ import annotations

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from envs import ENV_IDS
from xr0_sim.conventions import ARMS, CAMERAS

QUARTER_TURN = np.pi / 2


@pytest.fixture(scope="module")
def env():
    env = gym.make(ENV_IDS["block_dismantling"], observation="state", image_size=32).unwrapped
    env.reset(seed=0)
    yield env
    env.close()


def change(before, after, camera):
    """Mean change of a picture's brightness, of 255."""
    return np.abs(before[camera].astype(float) - after[camera]).mean()


@pytest.mark.parametrize("arm", ARMS)
def test_a_turned_hand_changes_the_view_of_its_own_camera(env, arm):
    before = env.camera_images()
    env.data.joint(f"{arm}/wrist_rotate").qpos += QUARTER_TURN
    mujoco.mj_kinematics(env.model, env.data)
    after = env.camera_images()
    env.data.joint(f"{arm}/wrist_rotate").qpos -= QUARTER_TURN
    mujoco.mj_kinematics(env.model, env.data)
    assert tuple(after) == CAMERAS
    own, other = f"{arm}_wrist", f"{ARMS[1 - ARMS.index(arm)]}_wrist"
    assert change(before, after, own) > 10
    assert change(before, after, other) < 1
    assert change(before, after, "base") < change(before, after, own) / 2


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_knocked_camera_changes_its_own_picture_alone(env, camera):
    before, scene = env.camera_images(), env.snapshot()
    env.knock_camera(camera, np.zeros(3), np.array([0.0, 0.0, 0.5]))
    after = env.camera_images()
    env.restore(scene)
    changed = [name for name in CAMERAS if change(before, after, name) > 1]
    assert changed == [camera]


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_frozen_camera_repeats_its_own_picture(env, camera):
    before, scene = env.camera_images(), env.snapshot()
    env.freeze_camera(camera, 1.0)
    env.knock_camera(camera, np.zeros(3), np.array([0.0, 0.0, 0.5]))
    frozen = env.camera_images()
    env.restore(scene)
    assert np.array_equal(frozen[camera], before[camera])
