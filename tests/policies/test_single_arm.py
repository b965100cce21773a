"""Released XR-0 weights on LIBERO's single arm: state, views, rows, and what does not fit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from released_files import write_libero_checkpoint

from experiments.options.network_options import WeightOptions
from policies.table import policy_spec
from policies.xr0.arm_kinds import (
    CROP,
    calvin_rows,
    cropped,
    euler_rows,
    google_state,
    panda_state,
    whole_rotvec,
    widowx_state,
)
from policies.xr0.single_arm import network_rows
from xr0_sim.errors import ConfigError
from xr0_sim.rotations import quat_from_rotvec, quat_multiply
from xr0_sim.runtime import NaiveAsync, Sync
from xr0_sim.types import ChunkRequest, Guide, Observation, RobotState, capabilities_of


def seen(images=("base", "left_wrist"), tick=0, shade=60):
    rng = np.random.default_rng(shade)
    fingers = [0.5, -1, 0.2, -2, 0.1, 1.5, 0.7, 0.03, -0.031, 0, 0, 0]
    turn = np.array([0.3, -0.2, 0.1])
    robot = RobotState(
        joint_pos=np.array(fingers).reshape(2, 6),
        joint_vel=np.zeros((2, 6)),
        jaw=np.array([0.75, 0.0]),
        tool_pos=np.array([[0.4, -0.1, 1.2], [0, 0, 0]]),
        tool_quat=np.stack([quat_from_rotvec(turn), [1.0, 0, 0, 0]]),
        command=np.zeros(14),
    )
    pictures = {name: rng.integers(0, 255, (64, 64, 3)).astype(np.uint8) for name in images}
    return Observation(tick, 0, robot, pictures, "Put the bowl on the stove.")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "libero"
    write_libero_checkpoint(path)
    return path


def weights(checkpoint, task="libero", **options):
    given = WeightOptions(checkpoint=str(checkpoint), **options)
    return given.weights_of(task, "xr0", Sync(10), None, None)


@pytest.fixture(scope="module")
def model(checkpoint):
    return policy_spec("xr0").load(weights(checkpoint)).bind(None)


def test_the_state_is_tool_rotation_vector_and_fingers_padded():
    state = panda_state(seen().robot)
    assert state.shape == (32,) and state.dtype == np.float32
    wanted = [0.4, -0.1, 1.2, 0.3, -0.2, 0.1, 0.03, -0.031]
    np.testing.assert_allclose(state[:8], wanted, atol=1e-6)
    assert not state[8:].any()


def test_a_hand_that_points_down_has_no_jump_in_its_state():
    turns = [whole_rotvec(np.array([w, np.sqrt(1 - w * w), 0.0, 0.0])) for w in (0.01, -0.01)]
    np.testing.assert_allclose(turns[0], [np.pi - 0.02, 0, 0], atol=1e-4)
    np.testing.assert_allclose(turns[1], [np.pi + 0.02, 0, 0], atol=1e-4)
    assert not whole_rotvec(np.array([1.0, 0, 0, 0])).any()


def test_rows_are_the_benchmarks_actions_within_its_range(model):
    rows = np.linspace(-3, 3, 64).reshape(2, 32)
    actions = model._actions(rows, np.full((1, 14), 0.25))
    assert (actions[0] == 0.25).all() and not actions[1, 7:].any()
    assert np.array_equal(actions[1, :7], rows[1, :7].clip(-1, 1))
    assert np.array_equal(network_rows(actions)[1, :7], actions[1, :7])
    assert network_rows(actions).shape == (2, 32) and not network_rows(actions)[:, 7:].any()


def test_states_of_simplerenvs_robots():
    robot = seen().robot
    down = quat_from_rotvec(np.array([0.0, np.pi / 2, 0.0]))
    robot = replace(robot, tool_quat=np.stack([down, robot.tool_quat[1]]))
    bridge, fractal = widowx_state(robot), google_state(robot)
    # A WidowX tool that points down is not turned in the bridge frame.
    np.testing.assert_allclose(bridge[:8], [0.4, -0.1, 1.2, 0, 0, 0, 0, 0.75], atol=1e-6)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(fractal[:8], [0.4, -0.1, 1.2, 0, half, 0, half, 0.25], atol=1e-6)


def test_euler_rows_become_rotation_vectors():
    rows = np.array([[0.1, 0.2, 0.3, 0.0, 0.0, 0.5, 0.9], [0, 0, 0, 0.3, -0.2, 0.1, 0.0]])
    actions = euler_rows(rows)
    np.testing.assert_allclose(actions[0], rows[0], atol=1e-12)
    x, y, z = map(quat_from_rotvec, np.diag(rows[1, 3:6]))
    whole = quat_multiply(z, quat_multiply(y, x))
    np.testing.assert_allclose(quat_from_rotvec(actions[1, 3:6]), whole, atol=1e-12)


def test_calvins_rows_are_shares_of_its_largest_step_and_turn():
    rows = np.array([[1.0, -0.5, 0.0, 1.0, 0.0, -2.0, -0.3]])
    np.testing.assert_allclose(calvin_rows(rows), [[0.02, -0.01, 0, 0.05, 0, -0.1, -0.3]])
    assert rows[0, 0] == 1.0


def test_the_middle_of_a_picture_is_kept():
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, :8] = picture[:, -8:] = 255
    shown = cropped(picture, (320, 256))
    assert shown.shape == (256, 320, 3) and shown.max() < 10 and CROP == 0.95
    assert np.array_equal(cropped(np.full((9, 9, 3), 77, np.uint8), (4, 4)), np.full((4, 4, 3), 77))


def test_the_command_line_takes_the_benchmarks_robot_type(checkpoint):
    chosen = weights(checkpoint)
    assert (chosen.robot_type, chosen.head) == ("libero_all", "released")
    with pytest.raises(ConfigError, match="none that fits; libero_all moves"):
        weights(checkpoint, "block_dismantling")
    with pytest.raises(ConfigError, match="moves two arms"):
        weights(checkpoint, "block_dismantling", robot_type="libero_all")


def test_a_robot_of_two_arms_is_refused_for_libero(checkpoint, tmp_path):
    path = tmp_path / "both"
    write_libero_checkpoint(path)
    file = path / "preprocessor_config.json"
    values = json.loads(file.read_text())
    both = {"mean": [[0.0] * 32] * 10, "std": [[0.1] * 28 + [0.0] * 4] * 10}
    values["action_config"]["two_arms"] = both
    file.write_text(json.dumps(values))
    assert weights(path).robot_type == "libero_all"
    with pytest.raises(ConfigError, match="one arm by its tool, and its jaw, which env 'libero'"):
        weights(path, robot_type="two_arms")
    assert weights(path, "towel_folding").robot_type == "two_arms"


def test_chunks_are_ten_rows_and_repeat(model):
    assert (model.horizon, model.views, model.needs_images) == (10, ("base", "left_wrist"), True)
    first, again = (model.infer(seen(), np.empty((0, 14)), (3, 0)).actions for _ in range(2))
    assert first.shape == (10, 14) and np.array_equal(first, again)
    assert first[:, :7].any() and not first[:, 7:].any() and np.abs(first).max() <= 1
    other = model.infer(seen(), np.empty((0, 14)), (3, 1)).actions
    assert np.abs(first - other).max() > 0.05  # full noise, as the public evaluation has it
    assert np.abs(first - model.infer(seen(shade=7), np.empty((0, 14)), (3, 0)).actions).max() > 0


def test_strategies_find_their_capabilities(model):
    request = ChunkRequest(seen(), noise_seed=(1, 2))
    (plain,) = model.infer_request(request)
    prefix = plain.actions[2:5]
    (told,) = model.infer_request(replace(request, prefix=prefix))
    assert np.array_equal(told.actions[:3], prefix)
    drawn = model.infer_request(replace(request, samples=3))
    assert len({chunk.actions.tobytes() for chunk in drawn}) == 3
    np.testing.assert_allclose(drawn[0].actions, plain.actions, atol=1e-5)
    (again,) = model.infer_request(replace(request, refresh=0, memory=plain.memory))
    np.testing.assert_allclose(again.actions, plain.actions, atol=1e-5)
    guide = Guide(np.full((4, 14), 0.5), np.ones(4))
    (drawn_to,) = model.infer_request(replace(request, guide=guide))
    pulled, free = (np.abs(c.actions[:4, :7] - 0.5).mean() for c in (drawn_to, plain))
    assert pulled < free
    assert model.flops(request) > 1e6
    assert "roll_forward" not in capabilities_of(model)
    NaiveAsync(5).check(model.horizon, capabilities_of(model))


def test_noise_of_a_tick_is_shared_by_chunks_that_overlap(model):
    early, late = (model._policy.noise([(1,)], first)[0] for first in (0, 3))
    assert np.array_equal(early[3:], late[:-3])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observation": seen(images=("base",))}, "missing left_wrist"),
        ({"refresh": 0, "memory": "x"}, "expected the memory of an inference"),
    ],
)
def test_what_does_not_fit_is_one_line(model, change, words):
    request = replace(ChunkRequest(seen(), noise_seed=(0, 0)), **change)
    with pytest.raises(ConfigError, match=words):
        model.infer_request(request)


def test_samples_want_noise(checkpoint):
    cold = policy_spec("xr0").load(weights(checkpoint, temperature=0.0)).bind(None)
    with pytest.raises(ConfigError, match="temperature above 0"):
        cold.infer_request(ChunkRequest(seen(), samples=2))
