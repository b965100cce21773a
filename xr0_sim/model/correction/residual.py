"""The residual that a correction adds to a planned row, in the convention of the chunks.

A row is expressed relative to the *newest* measured state, as a prefix is re-anchored
(`xr0_sim.model.spec.action_layout`); of its slots those that move the robot are corrected: tool
displacement [m], tool rotation vector [rad] and jaw opening, per arm. The residual is bounded, so a
head that is wrong leads the tools no further from the plan than that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xr0_sim.model.spec.action_layout import (
    ARM_STRIDE,
    JAW,
    ArmTargets,
    decode_tools,
    encode_chunk,
)
from xr0_sim.types import RobotState

SLOTS = np.concatenate([np.arange(start, start + JAW + 1) for start in (0, ARM_STRIDE)])
"""(14,) slots of a row that are corrected: per arm tool displacement, tool rotation, jaw."""
RESIDUAL_DIM = len(SLOTS)
POSITION_BOUND_M = 0.04
ROTATION_BOUND_RAD = 0.3
JAW_BOUND = 1.0
"""Largest residuals; chosen: what an expert leaves a plan by in about half a second. A jaw may be
told the opposite."""
BOUND = np.tile([*[POSITION_BOUND_M] * 3, *[ROTATION_BOUND_RAD] * 3, JAW_BOUND], 2)
"""(14,) largest residual by slot."""


def anchored(targets: ArmTargets, robot: RobotState) -> NDArray[np.float64]:
    """Targets relative to a measured state, (..., T, 14) in the order of `SLOTS`."""
    return encode_chunk(targets, robot)[..., SLOTS]


def bounded(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residual (..., 14) within `BOUND`."""
    return np.clip(residual, -BOUND, BOUND)


def beyond(residual: NDArray[np.float64], dead_zone: Sequence[float]) -> NDArray[np.float64]:
    """What of a residual (..., 14) lies beyond a dead zone; nothing inside.

    A residual that is executed shows in the next command, and the head answers to that: errors add
    up from tick to tick. Each tick takes the dead zone off, so that they fade; what is larger is
    followed. Displacements and rotations keep their direction.

    Args:
        residual: As a head gives it.
        dead_zone: Of a displacement [m], a rotation [rad] and a jaw.
    """
    kept = np.array(residual, dtype=np.float64)
    arms = kept.reshape(*kept.shape[:-1], 2, RESIDUAL_DIM // 2)
    for part, zone in zip((slice(0, 3), slice(3, 6), slice(6, 7)), dead_zone, strict=True):
        size = np.linalg.norm(arms[..., part], axis=-1, keepdims=True)
        arms[..., part] *= np.maximum(0.0, 1.0 - zone / np.maximum(size, 1e-12))
    return kept


def with_residual(
    planned: ArmTargets, residual: NDArray[np.float64], robot: RobotState
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Tool poses of planned rows (T, 2, *) with a residual (T, 14) added.

    Returns:
        Tool positions (T, 2, 3) [m], orientations (T, 2, 4) wxyz, jaws (T, 2) in 0 .. 1.
    """
    rows = encode_chunk(planned, robot)
    rows[..., SLOTS] += residual
    position, quaternion, jaws = decode_tools(rows, robot)
    return position, quaternion, jaws.clip(0.0, 1.0)
