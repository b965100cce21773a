"""Which half of the network's rows moves the robot, with a network that says what it is told to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from envs.robot.kinematics import DualArmKinematics, home_joints
from policies.xr0.chunk_model import XR0ChunkModel
from xr0_sim.conventions import CAMERAS
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.types import ChunkRequest, Observation, RobotState

ROWS = 4


class Told:
    """Answers every request with the same relative rows."""

    def __init__(self, relative):
        self.config = preset_config("nano", action_length=ROWS)
        self.processor = SimpleNamespace(cameras=CAMERAS)
        self.relative = relative

    def chunk(self, pictures, instructions, robots, prefixes, noise, temperature):
        self.words = instructions
        cache = SimpleNamespace(repeated=lambda row: None)
        return self.denoise(cache, robots, prefixes, noise, temperature), cache

    def noise(self, seeds):
        return seeds

    def denoise(self, cache, robots, prefixes, noise, temperature):
        self.asked = self.words, robots.jaw[:, 0].tolist(), noise, temperature
        return np.stack([self.relative] * len(prefixes))


@pytest.fixture(scope="module")
def robot():
    position, quaternion = DualArmKinematics().forward(home_joints())
    command = np.concatenate([np.append(joints, 0.5) for joints in home_joints()])
    return RobotState(
        home_joints(), np.zeros((2, 6)), np.full(2, 0.5), position, quaternion, command
    )


def seen(robot, instruction="go"):
    size = preset_config("nano").image_size
    images = {name: np.zeros((size, size, 3), np.uint8) for name in CAMERAS}
    return Observation(0, 0, robot, images, instruction)


def answer(decoding, relative, robot):
    model = XR0ChunkModel(Told(relative), decoding)
    chunk = model.infer(seen(robot), np.zeros((0, 14)), (0, 0))
    return chunk.actions.reshape(ROWS, 2, 7)


def test_joint_deltas_move_the_joints_and_tool_deltas_the_tool(robot):
    relative = np.zeros((ROWS, 32))
    relative[:, 7] = 0.1  # waist of the left arm
    relative[:, 14] = 0.01  # the right tool, along its own x axis
    by_joints, by_tools = (answer(name, relative, robot) for name in ("joint", "tool"))
    moved = by_joints[..., :6] - home_joints()
    assert np.allclose(moved[:, 0, 0], 0.1) and np.allclose(moved[:, 1], 0.0)
    position, _ = DualArmKinematics().forward(by_tools[-1, :, :6])
    shift = np.linalg.norm(position - robot.tool_pos, axis=1)
    assert shift[0] < 1e-4 and shift[1] == pytest.approx(0.01, rel=0.1)


def test_every_request_of_a_batch_brings_its_own_words_state_and_seed(robot):
    told = Told(np.zeros((ROWS, 32)))
    other = replace(robot, jaw=np.full(2, 0.75))
    requests = [
        ChunkRequest(seen(robot, "go left"), noise_seed=(3, 0)),
        ChunkRequest(seen(other, "go right"), noise_seed=(3, 1)),
    ]
    XR0ChunkModel(told, "joint", temperature=0.5).infer_batch(requests)
    assert told.asked == (["go left", "go right"], [0.5, 0.75], [(3, 0), (3, 1)], 0.5)
