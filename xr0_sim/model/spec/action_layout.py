"""The 32-wide action and state layout of XR-0 for two six-joint arms, with exact inverses.

Source: reference layout of the XR-0 release (technical report arXiv 2602.12684). Actions are
relative to the robot state *measured* at the observation the chunk is computed from.

```
slots  action                                       state "xr0"   state "extended" adds
 0:3   tool displacement in the tool frame, m                     tool position, world, m
 3:6   tool rotation vector in that frame, rad                    tool rotation vector, rad;
                                                                  "motion": velocities of waist,
                                                                  shoulder and elbow, rad/s
 6     jaw target - jaw measured                    jaw, -1..1
 7:13  joint target - joint measured, rad           joints, rad
 13    free                                                       jaw commanded - measured
 14:28 the same for the right arm
 28:32 padding
```

State "raw" is "xr0" with the gripper as its reading (jaw opening, 0..1), and it reaches the network
without normalisation: what the released weights were trained on.

All functions accept leading axes: a reference with fields ``(..., 2, 6)`` goes with chunks whose
rows are ``(..., T, 2, 6)``. Re-anchoring a prefix is `encode_chunk` of its absolute rows against
the new reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ARM_ACTION_DIM, ENV_ACTION_DIM, JOINTS_PER_ARM
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.rotations import (
    quat_conjugate,
    quat_from_rotvec,
    quat_multiply,
    quat_rotate,
    rotvec_from_quat,
)
from xr0_sim.types import RobotState

LAYOUT_DIM = 32
ARM_STRIDE = 14
TOOL_POS = slice(0, 3)
TOOL_ROT = slice(3, 6)
JAW = 6
JOINTS = slice(7, 13)
FREE = 13
STATE_LAYOUTS = ("xr0", "raw", "extended", "motion")
JOINT_LAYOUTS = ("xr0", "raw")
"""State layouts that hold jaw and joints alone."""
UNNORMALISED_LAYOUTS = ("raw",)
"""State layouts that the network reads in physical units."""

NOMINAL_TOOL_QUAT = ((0.5, 0.5, 0.5, -0.5), (0.5, -0.5, 0.5, 0.5))
"""Left and right tool pointing straight down with the jaw axis across its own arm, wxyz.

The rotation vector of the state is taken from here, so it is continuous for every orientation less
than half a turn away: Rz(-+90 deg) * Ry(90 deg) for a tool whose x axis is the approach direction.
"""


@dataclass(frozen=True)
class ArmTargets:
    """Absolute targets of both arms for T ticks, index 0 = left.

    Attributes:
        joint_pos: (..., T, 2, 6) [rad].
        jaw: (..., T, 2) opening fraction.
        tool_pos: (..., T, 2, 3) tool position of those joints, world frame [m].
        tool_quat: (..., T, 2, 4) tool orientation of those joints, world frame, wxyz.
    """

    joint_pos: NDArray[np.float64]
    jaw: NDArray[np.float64]
    tool_pos: NDArray[np.float64]
    tool_quat: NDArray[np.float64]

    @classmethod
    def from_actions(
        cls,
        actions: NDArray[np.floating],
        tool_pos: NDArray[np.float64],
        tool_quat: NDArray[np.float64],
    ) -> ArmTargets:
        """Splits (..., T, 14) environment actions; tool poses come from forward kinematics."""
        if actions.shape[-1] != ENV_ACTION_DIM:
            raise ConfigError(
                f"actions: expected (..., T, {ENV_ACTION_DIM}), got {actions.shape}; "
                "pass environment actions"
            )
        arms = actions.reshape(*actions.shape[:-1], 2, ARM_ACTION_DIM).astype(np.float64)
        return cls(arms[..., :JOINTS_PER_ARM], arms[..., JOINTS_PER_ARM], tool_pos, tool_quat)


def action_valid() -> NDArray[np.bool_]:
    """(32,) True where an action dimension carries meaning."""
    valid = np.zeros(LAYOUT_DIM, dtype=bool)
    for base in (0, ARM_STRIDE):
        valid[base : base + FREE] = True
    return valid


def state_valid(state_layout: str) -> NDArray[np.bool_]:
    """(32,) True where a state dimension carries meaning in the named layout."""
    _check_layout(state_layout)
    valid = np.zeros(LAYOUT_DIM, dtype=bool)
    for base in (0, ARM_STRIDE):
        first = base + JAW if state_layout in JOINT_LAYOUTS else base
        valid[first : base + JOINTS.stop] = True
        valid[base + FREE] = state_layout not in JOINT_LAYOUTS
    return valid


def encode_chunk(targets: ArmTargets, reference: RobotState) -> NDArray[np.float64]:
    """Expresses absolute targets relative to a measured state.

    Args:
        targets: Rows (..., T, 2, *).
        reference: Measured state, fields (..., 2, *).

    Returns:
        (..., T, 32) relative actions in physical units.
    """
    inverse = quat_conjugate(reference.tool_quat)[..., None, :, :]
    rows = np.empty((*targets.jaw.shape, ARM_STRIDE))
    rows[..., TOOL_POS] = quat_rotate(
        inverse, targets.tool_pos - np.asarray(reference.tool_pos)[..., None, :, :]
    )
    rows[..., TOOL_ROT] = rotvec_from_quat(quat_multiply(inverse, targets.tool_quat))
    rows[..., JAW] = targets.jaw - np.asarray(reference.jaw)[..., None, :]
    rows[..., JOINTS] = targets.joint_pos - np.asarray(reference.joint_pos)[..., None, :, :]
    rows[..., FREE] = 0.0
    return _pack(rows)


def decode_joints(relative: NDArray[np.floating], reference: RobotState) -> NDArray[np.float64]:
    """Inverse of `encode_chunk` through the joint deltas: (..., T, 32) to (..., T, 14)."""
    rows = _unpack(relative)
    joint_pos = rows[..., JOINTS] + np.asarray(reference.joint_pos)[..., None, :, :]
    jaw = rows[..., JAW] + np.asarray(reference.jaw)[..., None, :]
    arms = np.concatenate([joint_pos, jaw[..., None]], axis=-1)
    return arms.reshape(*arms.shape[:-2], ENV_ACTION_DIM)


def decode_tools(
    relative: NDArray[np.floating], reference: RobotState
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Inverse of `encode_chunk` through the tool deltas.

    Returns:
        Tool positions (..., T, 2, 3) [m], orientations (..., T, 2, 4) wxyz, jaws (..., T, 2).
    """
    rows = _unpack(relative)
    quat = np.asarray(reference.tool_quat)[..., None, :, :]
    tool_pos = quat_rotate(quat, rows[..., TOOL_POS])
    tool_pos += np.asarray(reference.tool_pos)[..., None, :, :]
    tool_quat = quat_multiply(quat, quat_from_rotvec(rows[..., TOOL_ROT]))
    return tool_pos, tool_quat, rows[..., JAW] + np.asarray(reference.jaw)[..., None, :]


def encode_state(state: RobotState, state_layout: str) -> NDArray[np.float64]:
    """Lays proprioception out as (..., 32); jaws -1 closed .. 1 open, 0 .. 1 in the layout raw."""
    _check_layout(state_layout)
    jaw = np.asarray(state.jaw)
    rows = np.zeros((*jaw.shape, ARM_STRIDE))
    rows[..., JAW] = jaw if state_layout == "raw" else 2.0 * jaw - 1.0
    rows[..., JOINTS] = state.joint_pos
    if state_layout not in JOINT_LAYOUTS:
        command = np.asarray(state.command).reshape(*jaw.shape, ARM_ACTION_DIM)
        rows[..., TOOL_POS] = state.tool_pos
        if state_layout == "motion":
            rows[..., TOOL_ROT] = np.asarray(state.joint_vel)[..., :3]
        else:
            nominal = quat_conjugate(NOMINAL_TOOL_QUAT)
            rows[..., TOOL_ROT] = rotvec_from_quat(quat_multiply(nominal, state.tool_quat))
        rows[..., FREE] = command[..., JOINTS_PER_ARM] - jaw
    return _pack(rows)


def _pack(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    packed = np.zeros((*rows.shape[:-2], LAYOUT_DIM))
    packed[..., : 2 * ARM_STRIDE] = rows.reshape(*rows.shape[:-2], 2 * ARM_STRIDE)
    return packed


def _unpack(packed: NDArray[np.floating]) -> NDArray[np.float64]:
    if packed.shape[-1] != LAYOUT_DIM:
        raise ConfigError(
            f"relative actions: expected (..., T, {LAYOUT_DIM}), got {packed.shape}; "
            "pass the output of encode_chunk or of the model, denormalised"
        )
    arms = np.asarray(packed[..., : 2 * ARM_STRIDE], dtype=np.float64)
    return arms.reshape(*arms.shape[:-1], 2, ARM_STRIDE)


def _check_layout(state_layout: str) -> None:
    if state_layout not in STATE_LAYOUTS:
        raise unknown_name("state layout", state_layout, STATE_LAYOUTS)
