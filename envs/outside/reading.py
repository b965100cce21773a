"""A reading of a single-arm simulator as our robot state, and its command as our action.

A single-arm robot has the left half of what is made for two arms::

    action (14,)     0:7 the robot's own action, 7:14 zero
    joint_pos (2, 6) flattened: its joints, then its fingers, then zero; joint_vel likewise
    jaw (2,)         its opening 0 .. 1, zero
    tool_pos (2, 3)  its tool, zero; tool_quat (2, 4) its tool, identity
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ARM_ACTION_DIM, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError, PlantLostError
from xr0_sim.outside.client import finite
from xr0_sim.outside.simulator import READING_SHAPES, Reading
from xr0_sim.types import RobotState

JOINT_ROOM = 12
"""Joints and fingers that a robot state has room for."""


def checked_reading(reading: Reading) -> Reading:
    """A reading with arrays of float64, all finite.

    Raises:
        PlantLostError: Something is missing, not finite or of another shape.
    """
    checked = dict(reading)
    try:
        for name, shape in READING_SHAPES.items():
            checked[name] = finite(reading[name], shape, f"simulator, {name}")
        for name in ("joint_pos", "joint_vel"):
            if len(checked[name]) > JOINT_ROOM:
                raise PlantLostError(f"simulator, {name}: expected at most {JOINT_ROOM}")
        checked["opening"] = float(finite(reading["opening"], (), "simulator, opening"))
        checked["reward"] = float(finite(reading["reward"], (), "simulator, reward"))
        checked["success"] = bool(reading["success"])
        checked["objects"] = {
            str(name): finite(place, (3,), f"simulator, {name}")
            for name, place in reading["objects"].items()
        }
    except (KeyError, AttributeError) as error:
        raise PlantLostError(f"simulator: expected a whole reading, got {error!r}") from None
    return checked


def robot_state_of(reading: Reading, command: NDArray[np.float64]) -> RobotState:
    """Robot state of a checked reading.

    Args:
        reading: What the simulator told.
        command: (14,) the last command.
    """
    joints = np.zeros((2, JOINT_ROOM))
    for row, name in enumerate(("joint_pos", "joint_vel")):
        joints[row, : len(reading[name])] = reading[name]
    return RobotState(
        joint_pos=joints[0].reshape(2, 6),
        joint_vel=joints[1].reshape(2, 6),
        jaw=np.array([reading["opening"], 0.0]),
        tool_pos=np.stack([reading["tool_pos"], np.zeros(3)]),
        tool_quat=np.stack([reading["tool_quat"], [1.0, 0.0, 0.0, 0.0]]),
        command=command,
    )


def command_of(arm: Any) -> NDArray[np.float64]:
    """Action (14,) of a robot's own (7,), read-only."""
    command = np.zeros(ENV_ACTION_DIM)
    command[:ARM_ACTION_DIM] = arm
    command.flags.writeable = False
    return command


def arm_action(action: NDArray[np.floating]) -> NDArray[np.float64]:
    """The robot's own action (7,) of an action (14,).

    Raises:
        ConfigError: Another shape, not finite, or something for the second arm.
    """
    command = np.array(action, dtype=np.float64)
    if command.shape != (ENV_ACTION_DIM,) or not np.isfinite(command).all():
        raise ConfigError(f"action: expected finite ({ENV_ACTION_DIM},), got {command!r}")
    if command[ARM_ACTION_DIM:].any():
        raise ConfigError(
            "action: expected zeros for the second arm, which this robot has not; use a policy of "
            "a single arm"
        )
    return command[:ARM_ACTION_DIM]


def standing_still(command: NDArray[np.float64]) -> NDArray[np.float64]:
    """(14,) no displacement, the gripper as it was."""
    arm = np.zeros(ARM_ACTION_DIM)
    arm[-1] = command[ARM_ACTION_DIM - 1]
    return command_of(arm)
