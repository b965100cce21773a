"""Limits of an action against the figures of the robot, not against the constants made of them."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest

from envs import ENV_IDS
from envs.robot.actions import limit_step
from envs.robot.kinematics import DualArmKinematics, home_joints
from envs.robot.proprioception import proprio_vector

JOINT_STEP = math.pi / 30
"""180 degrees per second, in one tick of 1/30 s [rad]."""
JAW_STEP = 4 / 30
SHOULDER = 1
SHOULDER_RANGE = math.radians(-106), math.radians(72)


@pytest.mark.parametrize("sign", [-1, 1])
def test_one_tick_moves_a_joint_and_a_jaw_as_far_as_their_speed_allows(sign):
    previous = np.zeros(14)
    previous[[6, 13]] = 0.5
    moved = limit_step(previous + sign * 50.0, previous) - previous
    wanted = np.full(14, sign * JOINT_STEP)
    wanted[[6, 13]] = sign * JAW_STEP
    np.testing.assert_allclose(moved, wanted)


@pytest.mark.parametrize("arm", [0, 7])
def test_targets_end_at_the_range_of_a_joint_and_of_a_jaw(arm):
    low, high = SHOULDER_RANGE
    previous = np.zeros(14)
    previous[arm + SHOULDER], previous[arm + 6] = high - 0.01, 0.99
    up = limit_step(previous + 50.0, previous)
    assert up[arm + SHOULDER] == pytest.approx(high) and up[arm + 6] == 1.0
    previous[arm + SHOULDER], previous[arm + 6] = low + 0.01, 0.01
    down = limit_step(previous - 50.0, previous)
    assert down[arm + SHOULDER] == pytest.approx(low) and down[arm + 6] == 0.0


def test_both_arms_rest_opposite_each_other():
    left, right = DualArmKinematics().forward(home_joints())[0]
    np.testing.assert_allclose(right, left * [-1, -1, 1], atol=1e-9)


def test_the_observed_proprioception_is_the_state_of_the_robot():
    env = gym.make(ENV_IDS["block_dismantling"], observation="state").unwrapped
    env.reset(seed=1)
    goal = np.full(14, 0.1, np.float32)
    for _ in range(3):
        observation, *_ = env.step(goal)
    np.testing.assert_allclose(
        observation["proprio"], proprio_vector(env.robot_state()), rtol=0, atol=1e-6
    )
    env.close()
