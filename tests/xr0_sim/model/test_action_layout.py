"""The 32-wide layout: slots, exact inverses, re-anchoring."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.model.spec import action_layout as layout
from xr0_sim.rotations import quat_from_rotvec, quat_multiply, rotation_angle
from xr0_sim.types import RobotState


def random_state(rng, leading=()):
    return RobotState(
        joint_pos=rng.normal(size=(*leading, 2, 6)),
        joint_vel=rng.normal(size=(*leading, 2, 6)),
        jaw=rng.uniform(size=(*leading, 2)),
        tool_pos=rng.normal(size=(*leading, 2, 3)),
        tool_quat=quat_from_rotvec(rng.normal(size=(*leading, 2, 3))),
        command=rng.normal(size=(*leading, 14)),
    )


def random_targets(rng, leading=(), length=30):
    return layout.ArmTargets.from_actions(
        rng.normal(size=(*leading, length, 14)),
        rng.normal(size=(*leading, length, 2, 3)),
        quat_from_rotvec(rng.normal(size=(*leading, length, 2, 3))),
    )


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_decoding_inverts_encoding(leading):
    rng = np.random.default_rng(0)
    state, targets = random_state(rng, leading), random_targets(rng, leading)
    relative = layout.encode_chunk(targets, state)
    assert relative.shape == (*leading, 30, 32)
    actions = layout.decode_joints(relative, state).reshape(*leading, 30, 2, 7)
    np.testing.assert_allclose(actions[..., :6], targets.joint_pos, atol=1e-12)
    np.testing.assert_allclose(actions[..., 6], targets.jaw, atol=1e-12)
    tool_pos, tool_quat, jaw = layout.decode_tools(relative, state)
    np.testing.assert_allclose(tool_pos, targets.tool_pos, atol=1e-12)
    np.testing.assert_allclose(rotation_angle(tool_quat, targets.tool_quat), 0.0, atol=1e-7)
    np.testing.assert_allclose(jaw, targets.jaw, atol=1e-12)


def test_holding_still_is_zero():
    rng = np.random.default_rng(1)
    state = random_state(rng)
    still = layout.ArmTargets(
        state.joint_pos[None], state.jaw[None], state.tool_pos[None], state.tool_quat[None]
    )
    np.testing.assert_allclose(layout.encode_chunk(still, state), 0.0, atol=1e-12)


def test_slots_follow_the_reference():
    rng = np.random.default_rng(2)
    state = random_state(rng)
    yaw = np.array([[np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)]] * 2)
    state = RobotState(**{**state.__dict__, "tool_quat": yaw})
    moved = layout.ArmTargets(
        state.joint_pos[None] + 0.1,
        state.jaw[None] + np.array([0.2, -0.3]),
        state.tool_pos[None] + np.array([0.0, 1.0, 0.0]),
        quat_multiply(yaw, quat_from_rotvec([0.0, 0.0, 0.5]))[None],
    )
    row = layout.encode_chunk(moved, state)[0]
    for base, jaw in ((0, 0.2), (14, -0.3)):
        # world +y is +x of a tool that is yawed by 90 degrees
        np.testing.assert_allclose(row[base : base + 3], [1.0, 0.0, 0.0], atol=1e-12)
        np.testing.assert_allclose(row[base + 3 : base + 6], [0.0, 0.0, 0.5], atol=1e-12)
        assert row[base + 6] == pytest.approx(jaw)
        np.testing.assert_allclose(row[base + 7 : base + 13], 0.1, atol=1e-12)
        assert row[base + 13] == 0.0
    assert (row[28:] == 0.0).all()


def test_reanchored_prefix_gives_the_same_absolute_actions():
    rng = np.random.default_rng(3)
    first, second, targets = random_state(rng), random_state(rng), random_targets(rng)
    old = layout.encode_chunk(targets, first)
    new = layout.encode_chunk(targets, second)
    assert not np.allclose(old, new)
    np.testing.assert_allclose(
        layout.decode_joints(old, first), layout.decode_joints(new, second), atol=1e-12
    )


def test_released_weights_read_the_gripper_and_the_joints_as_they_are():
    from xr0_sim.model.checkpoints.released_config import full_size_config
    from xr0_sim.model.spec.normalizer import Normalizer

    state = random_state(np.random.default_rng(4), (5,))
    name = full_size_config().state_layout
    raw = layout.encode_state(state, name)
    np.testing.assert_array_equal(raw[:, [6, 20]], state.jaw)
    joints = np.concatenate([raw[:, 7:13], raw[:, 21:27]], -1)
    np.testing.assert_array_equal(joints, state.joint_pos.reshape(5, 12))
    assert (np.delete(raw, [6, 20, *range(7, 13), *range(21, 27)], 1) == 0).all()
    np.testing.assert_array_equal(layout.state_valid(name), layout.state_valid("xr0"))
    # Statistics that would shift and scale: a raw state passes them by.
    ones = np.ones((30, 32), np.float32)
    statistics = Normalizer(ones, 2 * ones, 3 * ones[0], 4 * ones[0])
    np.testing.assert_array_equal(statistics.network_state(state, name), raw.astype(np.float32))
    scaled = statistics.normalize_state(layout.encode_state(state, "extended"))
    np.testing.assert_array_equal(statistics.network_state(state, "extended"), scaled)


def test_state_layouts():
    state = random_state(np.random.default_rng(4), (5,))
    plain = layout.encode_state(state, "xr0")
    full = layout.encode_state(state, "extended")
    valid, extended = layout.state_valid("xr0"), layout.state_valid("extended")
    assert (plain[:, ~valid] == 0.0).all() and (full[:, ~extended] == 0.0).all()
    np.testing.assert_array_equal(plain[:, valid], full[:, valid])
    np.testing.assert_allclose(full[:, 14:17], state.tool_pos[:, 1])
    np.testing.assert_allclose(full[:, 13], state.command[:, 6] - state.jaw[:, 0])
    np.testing.assert_allclose(plain[:, 20], 2 * state.jaw[:, 1] - 1)
    assert valid.sum() == 14 and extended.sum() == 28 and layout.action_valid().sum() == 26
    nominal = RobotState(
        **{**state.__dict__, "tool_quat": np.broadcast_to(layout.NOMINAL_TOOL_QUAT, (5, 2, 4))}
    )
    np.testing.assert_allclose(layout.encode_state(nominal, "extended")[:, 3:6], 0.0, atol=1e-9)


def test_bad_input_is_named():
    state = random_state(np.random.default_rng(5))
    with pytest.raises(ConfigError, match="did you mean 'extended'"):
        layout.encode_state(state, "extendd")
    with pytest.raises(ConfigError, match="expected"):
        layout.decode_joints(np.zeros((30, 14)), state)
