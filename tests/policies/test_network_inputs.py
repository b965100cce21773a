"""What reaches the network: order of the cameras, and what a prefix is relative to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from envs.robot.actions import split_arms
from envs.robot.kinematics import DualArmKinematics
from policies.xr0.chunk_model import XR0ChunkModel
from xr0_sim.conventions import CAMERAS
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.types import Observation, RobotState

HORIZON = 8
SHADES = {"base": 40, "left_wrist": 120, "right_wrist": 220}


def observation(seed=0):
    """A robot that lags behind its command; one shade of grey a camera, named in another order."""
    rng = np.random.default_rng(seed)
    joints = np.array([[0.1, -0.9, 1.1, 0.2, 0.3, -0.2], [-0.2, -0.8, 1.0, 0.1, 0.4, 0.3]])
    jaw = np.array([0.3, 0.8])
    position, quaternion = DualArmKinematics().forward(joints)
    command = np.concatenate([joints, jaw[:, None]], -1) + rng.uniform(0.05, 0.1, (2, 7))
    robot = RobotState(joints, np.zeros((2, 6)), jaw, position, quaternion, command.ravel())
    images = {
        name: np.full((64, 64, 3), SHADES[name], np.uint8)
        for name in ("right_wrist", "base", "left_wrist")
    }
    return Observation(
        tick=5, time_ns=166_666_667, images=images, robot=robot, instruction="Sort the bricks."
    )


class Listener:
    """Stands in for `PolicyModel` and keeps what it is given."""

    config = SimpleNamespace(action_length=HORIZON, image_size=64, prefix_max=6)
    processor = SimpleNamespace(cameras=CAMERAS)

    def chunk(self, images, instructions, robot, prefixes, noise, temperature):
        self.images = images
        cache = SimpleNamespace(repeated=lambda row: None)
        return self.denoise(cache, robot, prefixes, noise, temperature), cache

    def noise(self, seeds):
        return None

    def denoise(self, cache, robot, prefixes, noise, temperature):
        self.robot, self.prefixes = robot, prefixes
        return np.zeros((len(prefixes), HORIZON, 32))


def shades(pictures):
    """Mean grey of each picture of the first frame."""
    return [float(picture.mean()) for picture in pictures]


def test_pictures_come_in_the_order_of_the_cameras():
    listener = Listener()
    XR0ChunkModel(listener).infer(observation(), np.zeros((0, 14)), (0, 0))
    assert shades(listener.images[0]) == [SHADES[name] for name in CAMERAS]


def test_every_picture_stands_under_its_own_heading():
    """From the observation to the patches and the prompt, through everything in between."""
    policy = random_policy_model(preset_config("nano", action_length=HORIZON), 0)
    seen = {}
    genuine = policy.model.encode

    def encode(inputs, compiled):
        seen["inputs"] = inputs
        return genuine(inputs, compiled)

    object.__setattr__(policy.model, "encode", encode)
    XR0ChunkModel(policy).infer(observation(), np.zeros((0, 14)), (0, 0))
    inputs = seen["inputs"]
    grey = [round((float(rows.mean()) + 1) / 2 * 255) for rows in inputs.patches]
    assert grey == [SHADES[name] for name in ("base", "left_wrist", "right_wrist")]
    tokenizer = policy.processor._tokenizer
    text = tokenizer.decode(inputs.input_ids[0].tolist(), skip_special_tokens=False)
    headings = [line for line in text.splitlines() if line.startswith("# ")]
    assert headings == ["# Base View", "# Left-Wrist View", "# Right-Wrist View"]
    places = inputs.image_index.view(3, -1)
    assert (places[:, 1:] - places[:, :-1] == 1).all() and (places[1:, 0] > places[:-1, -1]).all()


def prefix_rows(robot):
    """Three committed rows, near the command and away from the measured state."""
    return robot.command + 0.03 * np.arange(1, 4)[:, None] * np.linspace(-1, 1, 14)


def test_the_measured_state_goes_with_a_prefix_of_absolute_targets():
    listener, seen = Listener(), observation()
    rows = prefix_rows(seen.robot)
    XR0ChunkModel(listener).infer(seen, rows, (0, 0))
    joints, jaw = split_arms(rows)
    (given,) = listener.prefixes
    np.testing.assert_allclose(given.joint_pos, joints)
    np.testing.assert_allclose(given.jaw, jaw)
    np.testing.assert_allclose(given.tool_pos, DualArmKinematics().forward(joints)[0])
    np.testing.assert_array_equal(listener.robot.joint_pos[0], seen.robot.joint_pos)
    np.testing.assert_array_equal(listener.robot.command[0], seen.robot.command)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_network_gets_the_prefix_relative_to_the_measured_state(scaled):
    policy = random_policy_model(preset_config("nano", action_length=HORIZON, prefix_max=6), 0)
    if scaled:
        rng = np.random.default_rng(2)
        spread = rng.uniform(0.1, 2.0, (HORIZON, 32)).astype(np.float32)
        mean = rng.normal(size=(HORIZON, 32)).astype(np.float32)
        statistics = Normalizer(mean, spread, mean[0], spread[0])
        policy = replace(policy, normalizer=statistics)
    given = {}

    def sample_actions(cache, state, prefix, lengths, **options):
        given.update(prefix=prefix.numpy(), lengths=lengths.tolist(), state=state.numpy())
        return torch.zeros(len(state), HORIZON, 32)

    object.__setattr__(policy.model, "sample_actions", sample_actions)
    seen = observation()
    rows = prefix_rows(seen.robot)
    XR0ChunkModel(policy).infer(seen, rows, (0, 0))
    assert given["lengths"] == [3]

    joints, jaw = split_arms(rows)
    robot = seen.robot
    position, _ = DualArmKinematics().forward(joints)
    want = np.zeros((3, 32))
    for arm, base in ((0, 0), (1, 14)):
        w, x, y, z = robot.tool_quat[arm]
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        for row in range(3):
            away = position[row, arm] - robot.tool_pos[arm]
            want[row, base : base + 3] = rotation.T @ away
            want[row, base + 6] = jaw[row, arm] - robot.jaw[arm]
            want[row, base + 7 : base + 13] = joints[row, arm] - robot.joint_pos[arm]
    if scaled:
        want = (want - mean[:3]) / (spread[:3] + 1e-6)
    got = given["prefix"][0].copy()
    for base in (3, 17):  # rotation vectors: pinned in the tests of the layout
        got[:, base : base + 3] = want[:, base : base + 3] = 0.0
    np.testing.assert_allclose(got, want, atol=2e-5)
    off_command = rows.reshape(3, 2, 7)[..., :6] - robot.command.reshape(2, 7)[:, :6]
    assert np.abs(off_command - (joints - robot.joint_pos)).min() > 0.04
