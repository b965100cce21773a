"""The two action modes, joint targets and tool poses, and the limits both obey."""

from __future__ import annotations

import functools
from typing import Literal, cast, get_args

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.robot.facts import JAW_SPEED, JOINTS
from envs.robot.kinematics import DualArmKinematics
from xr0_sim.conventions import ARM_ACTION_DIM, CONTROL_HZ, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.rotations import quat_from_rotvec, rotvec_from_quat

ActionMode = Literal["joint", "tool"]

_ARM_LOW = [*(f.lower for f in JOINTS.values()), 0.0]
_ARM_HIGH = [*(f.upper for f in JOINTS.values()), 1.0]
_ARM_SPEED = [*(f.speed for f in JOINTS.values()), JAW_SPEED]
JOINT_LOW = np.array(_ARM_LOW * 2)
JOINT_HIGH = np.array(_ARM_HIGH * 2)
MAX_SPEED = np.array(_ARM_SPEED * 2)
"""Largest speed of each joint target [rad/s], of the jaws [1/s]."""

TOOL_REACH = 1.3
"""Bound of tool positions in ``tool`` mode [m]."""
_TOOL_LOW = [-TOOL_REACH, -TOOL_REACH, -0.2, *[-np.pi] * 3, 0.0]
_TOOL_HIGH = [TOOL_REACH, TOOL_REACH, TOOL_REACH, *[np.pi] * 3, 1.0]

_BOUNDS = {
    "joint": (JOINT_LOW, JOINT_HIGH),
    "tool": (np.array(_TOOL_LOW * 2), np.array(_TOOL_HIGH * 2)),
}
_HALF_RANGE = {mode: (high - low) / 2 for mode, (low, high) in _BOUNDS.items()}


def action_space() -> gymnasium.spaces.Box:
    """Space of one Gymnasium action, (14,) float32 in [-1, 1]; see `from_unit`."""
    return gymnasium.spaces.Box(-1.0, 1.0, (ENV_ACTION_DIM,), np.float32)


def check_mode(mode: str) -> ActionMode:
    """The mode, if it exists."""
    if mode not in get_args(ActionMode):
        raise unknown_name("action mode", str(mode), get_args(ActionMode))
    return cast(ActionMode, mode)


def from_unit(action: NDArray[np.floating], mode: ActionMode = "joint") -> NDArray[np.float64]:
    """Gymnasium action (..., 14) in [-1, 1] -> physical units, linear between the bounds.

    ``joint``: absolute joint targets [rad] between the joint limits and jaw opening.
    ``tool``: per arm, tool position [m] and rotation vector [rad] in the world frame, jaw opening.
    """
    unit = np.asarray(action, dtype=np.float64)
    return _BOUNDS[mode][0] + (unit + 1.0) * _HALF_RANGE[mode]


def to_unit(action: NDArray[np.floating], mode: ActionMode = "joint") -> NDArray[np.float32]:
    """Inverse of `from_unit`, clipped to the space."""
    physical = np.asarray(action, dtype=np.float64)
    unit = (physical - _BOUNDS[mode][0]) / _HALF_RANGE[mode] - 1.0
    return np.clip(unit, -1.0, 1.0).astype(np.float32)


def check_action(action: NDArray[np.floating]) -> NDArray[np.float64]:
    """The action as finite float64 (14,), or one clear error."""
    given = np.asarray(action)
    if given.dtype.kind not in "fiu":
        raise ConfigError(f"action: expected numbers, got dtype {given.dtype}")
    checked: NDArray[np.float64] = given.astype(np.float64, copy=False)
    if checked.shape != (ENV_ACTION_DIM,):
        raise ConfigError(f"action: expected shape ({ENV_ACTION_DIM},), got {checked.shape}")
    if not np.isfinite(checked).all():
        raise ConfigError("action: expected finite values, got NaN or infinity")
    return checked


@functools.lru_cache
def max_change(control_hz: int = CONTROL_HZ) -> NDArray[np.float64]:
    """Largest change (14,) of each joint target within one control tick; read-only."""
    change: NDArray[np.float64] = MAX_SPEED / control_hz
    change.setflags(write=False)
    return change


def limit_step(
    target: NDArray[np.float64], previous: NDArray[np.float64], control_hz: int = CONTROL_HZ
) -> NDArray[np.float64]:
    """Clips targets (..., 14) to the joint ranges and to one tick's travel from `previous`.

    Args:
        target: Where the joints and jaws shall be at the end of the tick.
        previous: The command (..., 14) before.
        control_hz: Control rate [Hz]; the limits are speeds, so that a long tick may go further.
    """
    change = max_change(control_hz)
    target = np.minimum(np.maximum(target, JOINT_LOW), JOINT_HIGH)
    return np.minimum(np.maximum(target, previous - change), previous + change)


def split_arms(action: NDArray[np.float64]) -> tuple[np.ndarray, np.ndarray]:
    """Joint action (..., 14) -> joints (..., 2, 6) and jaw openings (..., 2)."""
    pairs = action.reshape(*action.shape[:-1], 2, ARM_ACTION_DIM)
    return pairs[..., :-1], pairs[..., -1]


def join_arms(joints: NDArray[np.float64], jaws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `split_arms`."""
    pairs = np.concatenate([joints, np.asarray(jaws)[..., None]], axis=-1)
    return pairs.reshape(*pairs.shape[:-2], ENV_ACTION_DIM)


def tool_to_joint_action(
    action: NDArray[np.float64], command: NDArray[np.float64], kinematics: DualArmKinematics
) -> NDArray[np.float64]:
    """Tool action (14,) -> joint action (14,), by inverse kinematics from the last command."""
    pairs = action.reshape(2, ARM_ACTION_DIM)
    joints, _ = split_arms(command)
    solved = kinematics.inverse(joints, pairs[:, :3], quat_from_rotvec(pairs[:, 3:6]))
    return join_arms(solved, pairs[:, 6])


def joint_to_tool_action(
    action: NDArray[np.float64], kinematics: DualArmKinematics
) -> NDArray[np.float64]:
    """Joint action (..., 14) -> tool action (..., 14), by forward kinematics."""
    joints, jaws = split_arms(action)
    position, quaternion = kinematics.forward(joints)
    pairs = np.concatenate([position, rotvec_from_quat(quaternion), jaws[..., None]], axis=-1)
    return pairs.reshape(*action.shape[:-1], ENV_ACTION_DIM)
