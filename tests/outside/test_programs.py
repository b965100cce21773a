"""The programs that a harness of another project starts in our Python."""

import sys

import numpy as np
import pytest
from released_files import write_libero_checkpoint

from experiments.outside.policy_process import PolicyProcess, arm_observation, own_observation
from experiments.outside.task_process import TaskProcess
from policies.xr0.arm_kinds import ARM_KINDS, panda_state
from xr0_sim.errors import ConfigError
from xr0_sim.outside.vla_eval.ours import our_process

STATE = np.array([0.1, -0.2, 1.1, 3.3, 0.1, -0.2, 0.04, -0.039])


def libero(**changes):
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    seen = {
        "images": {"agentview": picture, "wrist": picture[::-1]},
        "states": STATE,
        "task_description": "put the bowl on the stove",
    }
    return seen | changes


def test_liberos_observation_reaches_the_network_as_it_was():
    seen = arm_observation("libero", libero(), tick=3)
    np.testing.assert_allclose(panda_state(seen.robot)[:8], STATE, atol=1e-6)
    assert seen.instruction == "Put the bowl on the stove." and seen.tick == 3
    assert np.array_equal(seen.images["left_wrist"], seen.images["base"][::-1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"agentview": np.zeros((4, 4, 3))}}, "expected wrist; set send_state"),
        ({"states": np.zeros(7)}, r"expected states \(8,\), got \(7,\)"),
    ],
)
def test_an_observation_that_lacks_something_is_one_line(changes, words):
    with pytest.raises(ConfigError, match=words):
        arm_observation("libero", libero(**changes), 0)


def test_released_weights_answer_with_ten_rows_of_seven(tmp_path):
    write_libero_checkpoint(tmp_path)
    policy = PolicyProcess("libero", "xr0", str(tmp_path), {})
    assert policy.describe()["execution_horizon"] == 10
    first, again, other = (
        policy.predict(libero(), 4, number, 0)["actions"] for number in (0, 0, 1)
    )
    assert first.shape == (10, 7) and np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("benchmark", "robot_type"),
    [("simpler_widowx", "bridge_delta"), ("simpler_google", "fractal_delta")],
)
def test_four_rows_of_four_for_simplerenv(tmp_path, benchmark, robot_type):
    write_libero_checkpoint(tmp_path, length=4, robot_type=robot_type)
    policy = PolicyProcess(benchmark, "xr0", str(tmp_path), {})
    assert policy.describe()["execution_horizon"] == policy.describe()["horizon"] == 4
    picture = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    states = np.array([0.3, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0, 1.0])
    seen = {"images": {"primary": picture}, "states": states, "task_description": "pick coke can"}
    shown = arm_observation(benchmark, seen, 0)
    assert shown.images["base"].shape == (256, 256 if benchmark == "simpler_widowx" else 320, 3)
    assert shown.instruction == "Pick coke can."
    actions = policy.predict(seen, 0, 0, 0)["actions"]
    assert actions.shape == (4, 7) and np.isfinite(actions).all()
    with pytest.raises(ConfigError, match="expected states"):
        policy.predict({"images": {"primary": picture}, "task_description": "x"}, 0, 0, 0)


def calvin(**changes):
    pictures = np.random.default_rng(1).integers(0, 255, (2, 200, 200, 3), np.uint8)
    seen = {
        "images": {"rgb_static": pictures[0], "rgb_gripper": pictures[1]},
        # Roll close to pi, as its arm points down; opening [m], last gripper action.
        "states": np.array([0.02, -0.23, 0.57, 3.09, -0.03, 1.5, 0.06, -1.0]),
        "task_description": "push the sliding door to the left side",
    }
    return seen | changes


def test_calvins_observation_reaches_the_network_as_its_robot_told_it():
    seen = arm_observation("calvin_abcd", calvin(), 7)
    state = ARM_KINDS["calvin_abcd"].state(seen.robot)
    np.testing.assert_allclose(state[:7], calvin()["states"][:7], atol=1e-6)
    assert not state[7:].any()
    shown = {name: picture.shape for name, picture in seen.images.items()}
    assert shown == {"base": (200, 200, 3), "left_wrist": (84, 84, 3)}
    assert seen.instruction == "Push the sliding door to the left side."


@pytest.mark.parametrize("benchmark", ["calvin_abc", "calvin_abcd"])
def test_ten_rows_for_calvin(tmp_path, benchmark):
    write_libero_checkpoint(tmp_path, robot_type=f"{benchmark}_orig")
    policy = PolicyProcess(benchmark, "xr0", str(tmp_path), {})
    described = policy.describe()
    assert described["execution_horizon"] == described["horizon"] == 10
    assert described["views"] == ["base", "left_wrist"]
    first = policy.predict(calvin(), 4, 0, 0)["actions"]
    dark = calvin()["images"] | {"rgb_gripper": np.zeros((200, 200, 3), np.uint8)}
    other = policy.predict(calvin(images=dark), 4, 0, 0)["actions"]
    assert first.shape == (10, 7) and np.abs(first - other).max() > 0
    spread = np.abs(first).mean(0)  # rows of one size, in units of 0.02 m and 0.05 rad
    assert spread[:3].max() < 0.2 * spread[6] and spread[3:6].max() < 0.4 * spread[6]
    with pytest.raises(ConfigError, match="expected rgb_gripper; set send_state"):
        policy.predict(calvin(images={"rgb_static": dark["rgb_static"]}), 0, 0, 0)


def test_our_task_is_played_and_read_back():
    task = TaskProcess("block_dismantling:n_bricks=2", "shove@0.1s", 64, "0.1")
    assert task.describe()["control_hz"] == 30 and task.describe()["max_steps"] >= 600
    seen = task.reset(3)
    assert {name: p.shape for name, p in seen["images"].items()} == dict.fromkeys(
        ("base", "left_wrist", "right_wrist"), (64, 64, 3)
    )
    observation = own_observation({**seen, "task_description": seen["instruction"]}, 0)
    assert np.array_equal(observation.robot.command, seen["robot"]["command"])
    assert np.array_equal(observation.robot.joint_pos[1], seen["states"][7:13])
    moved = seen["robot"]["command"].copy()
    moved[0] += 0.05
    after = task.step(moved)
    assert after["tick"] == 1 and not after["told"]["over"] and not after["told"]["success"]
    assert np.array_equal(after["robot"]["command"], moved)
    with pytest.raises(ConfigError, match="robot: expected joint_pos"):
        own_observation({"robot": {}, "images": {}, "task_description": "x"}, 0)


def test_it_runs_behind_the_socket_and_only_its_own_calls_are_taken(monkeypatch):
    arguments = {
        "env": "block_dismantling:n_bricks=2",
        "event": "none",
        "image_size": 32,
        "world": "",
    }
    process = our_process("task_process", "TaskProcess", arguments, sys.executable)
    assert process.ask("reset", seed=1)["images"]["base"].shape == (32, 32, 3)
    with pytest.raises(ConfigError, match="expected one of describe, reset, step, got 'pictures'"):
        process.ask("pictures")
    process.close()
    monkeypatch.delenv("XR0_SIM_PYTHON", raising=False)
    with pytest.raises(ConfigError, match="set XR0_SIM_PYTHON"):
        our_process("task_process", "TaskProcess", arguments, "")
