"""What a correction head is told beside its views, as one vector.

Everything that has a place is relative to the newest measured pose of its tool, as rows of a chunk
are (`xr0_sim.model.spec.action_layout`): the present command, the planned row and some later ones,
the pose at the capture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ARM_ACTION_DIM, ENV_ACTION_DIM
from xr0_sim.model.correction.residual import RESIDUAL_DIM, anchored
from xr0_sim.model.spec.action_layout import LAYOUT_DIM, ArmTargets, encode_state
from xr0_sim.types import RobotState

STATE_LAYOUT = "motion"
ROWS_AHEAD = (0, 1, 3, 6, 10)
"""Rows that the head is told, counted from the one that is due; behind the end the last one."""
FEATURE_DIM = LAYOUT_DIM + (2 + len(ROWS_AHEAD)) * RESIDUAL_DIM + 2


def rows_ahead(index: NDArray[np.integer] | int, horizon: int) -> NDArray[np.int64]:
    """Indices (..., len(ROWS_AHEAD)) of the rows that go with a row (...)."""
    wanted: NDArray[np.int64] = np.asarray(index)[..., None] + np.asarray(ROWS_AHEAD)
    return np.minimum(wanted, horizon - 1)


def measured_targets(robot: RobotState) -> ArmTargets:
    """Where the arms are, as one target row (..., 1, 2, *)."""
    joints, jaw = np.asarray(robot.joint_pos), np.asarray(robot.jaw)
    place, turn = np.asarray(robot.tool_pos), np.asarray(robot.tool_quat)
    rows = (value[..., None, :, :] for value in (joints, place, turn))
    joint_pos, tool_pos, tool_quat = rows
    return ArmTargets(joint_pos, jaw[..., None, :], tool_pos, tool_quat)


def correction_features(
    robot: RobotState,
    places: ArmTargets,
    index: NDArray[np.integer] | int,
    age_ticks: NDArray[np.integer] | int,
    horizon: int,
) -> NDArray[np.float32]:
    """The vector (..., `FEATURE_DIM`), in physical units.

    Args:
        robot: Measured state when the row is due, fields (..., 2, *).
        places: What was commanded last, where the arms were at the capture, and the planned rows at
            `rows_ahead`, in this order, (..., 2 + len(ROWS_AHEAD), 2, *).
        index: Row that is due, (...).
        age_ticks: Ticks since the capture, (...).
        horizon: Rows of the chunk.
    """
    flat = (*np.shape(robot.jaw)[:-1], -1)
    position = np.stack(np.broadcast_arrays(index, age_ticks), axis=-1) / horizon
    parts = (
        encode_state(robot, STATE_LAYOUT),
        anchored(places, robot).reshape(flat),
        position.reshape(flat),
    )
    return np.concatenate(parts, axis=-1).astype(np.float32)


def joined_targets(*parts: ArmTargets) -> ArmTargets:
    """Target rows (..., T, 2, *) one behind the other."""
    columns = ("joint_pos", "jaw", "tool_pos", "tool_quat")
    joined = {}
    for name in columns:
        values = [np.asarray(getattr(part, name)) for part in parts]
        joined[name] = np.concatenate(values, axis=-2 if name == "jaw" else -3)
    return ArmTargets(**joined)


def stored_targets(actions: NDArray[np.floating], tools: NDArray[np.floating]) -> ArmTargets:
    """Targets of stored actions (..., T, 14) and tool poses (..., T, 2, 7)."""
    arms = np.asarray(actions, np.float64).reshape(*np.shape(actions)[:-1], 2, ARM_ACTION_DIM)
    assert np.shape(actions)[-1] == ENV_ACTION_DIM
    poses = np.asarray(tools, np.float64)
    return ArmTargets(arms[..., :-1], arms[..., -1], poses[..., :3], poses[..., 3:])
