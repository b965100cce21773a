"""Relative tool motion against values worked out by hand, with axes that do not commute."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.model.spec import action_layout as layout
from xr0_sim.types import RobotState

S = np.sqrt(0.5)
TURNED = (S, 0.0, 0.0, S)
"""Tool yawed by +90 degrees about z: its x axis is the world's y axis."""
ROLLED = (0.5, 0.5, -0.5, 0.5)
"""The same tool, then turned by +90 degrees about the world's x axis: Rx(90) Rz(90)."""


def state(tool_quat, tool_pos=(0.0, 0.0, 0.0)):
    return RobotState(
        joint_pos=np.zeros((2, 6)),
        joint_vel=np.arange(12.0).reshape(2, 6),
        jaw=np.zeros(2),
        tool_pos=np.tile(tool_pos, (2, 1)),
        tool_quat=np.tile(tool_quat, (2, 1)),
        command=np.zeros(14),
    )


def targets(tool_quat, tool_pos):
    return layout.ArmTargets(
        np.zeros((1, 2, 6)),
        np.zeros((1, 2)),
        np.tile(tool_pos, (1, 2, 1)),
        np.tile(tool_quat, (1, 2, 1)),
    )


@pytest.mark.parametrize("base", [0, 14])
def test_rotation_is_told_in_the_frame_of_the_measured_tool(base):
    # The world's x axis is the tool's -y axis: Rz(-90) x = -y.
    row = layout.encode_chunk(targets(ROLLED, (0.0, 0.0, 0.0)), state(TURNED))[0]
    np.testing.assert_allclose(row[base + 3 : base + 6], [0.0, -np.pi / 2, 0.0], atol=1e-12)


@pytest.mark.parametrize("base", [0, 14])
def test_displacement_is_told_in_the_frame_of_the_measured_tool(base):
    # Rx(90) Rz(90) takes x to z, y to -x and z to -y, so (1, 2, 3) has the components (3, -1, -2).
    measured, wanted = (0.1, 0.1, 0.1), (1.1, 2.1, 3.1)
    row = layout.encode_chunk(targets(ROLLED, wanted), state(ROLLED, measured))[0]
    np.testing.assert_allclose(row[base : base + 3], [3.0, -1.0, -2.0], atol=1e-12)


def test_decoding_turns_the_measured_tool_about_its_own_axes():
    relative = np.zeros((1, 32))
    for base in (0, 14):
        relative[0, base : base + 3] = [0.0, 1.0, 0.0]
        relative[0, base + 3 : base + 6] = [0.0, -np.pi / 2, 0.0]
    position, quaternion, _ = layout.decode_tools(relative, state(TURNED, (0.0, 0.0, 0.5)))
    np.testing.assert_allclose(position[0], np.tile([-1.0, 0.0, 0.5], (2, 1)), atol=1e-12)
    signs = np.sign(quaternion[0, :, :1])
    np.testing.assert_allclose(signs * quaternion[0], np.tile(ROLLED, (2, 1)), atol=1e-12)


def test_the_state_tells_rotation_from_the_nominal_pose_about_the_tools_own_axes():
    # Each nominal tool, turned by +90 degrees about its own z axis.
    turned = np.array([(S, S, 0.0, 0.0), (0.0, 0.0, S, S)])
    measured = RobotState(**{**vars(state(TURNED)), "tool_quat": turned})
    row = layout.encode_state(measured, "extended")
    for base in (0, 14):
        np.testing.assert_allclose(row[base + 3 : base + 6], [0.0, 0.0, np.pi / 2], atol=1e-12)


def test_the_motion_layout_holds_the_speeds_of_the_first_three_joints():
    row = layout.encode_state(state(TURNED), "motion")
    np.testing.assert_array_equal(row[3:6], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(row[17:20], [6.0, 7.0, 8.0])
