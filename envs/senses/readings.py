"""What encoders make of the joints: delay, noise and steps, as pure functions on readings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xr0_sim.types import RobotState

RPM = 2 * math.pi / 60
"""One revolution a minute [rad/s]."""
JAW_PER_RAD = 0.8
"""Opening of the jaw per angle of its servo [1/rad]: a 36 mm crank on a 45 mm stroke."""


def between(older: RobotState, newer: RobotState, share: float) -> RobotState:
    """Joints a share of the way from one reading to the next, in a straight line.

    Tool poses and command are those of `newer`.
    """

    def mixed(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return a + share * (b - a)

    return replace(
        newer,
        joint_pos=mixed(older.joint_pos, newer.joint_pos),
        joint_vel=mixed(older.joint_vel, newer.joint_vel),
        jaw=mixed(older.jaw, newer.jaw),
    )


def encoded(
    robot: RobotState,
    *,
    noise_rad: float,
    counts: int,
    speed_unit_rpm: float,
    rng: np.random.Generator,
) -> RobotState:
    """Joints, speeds and jaws as their servos report them; the tool poses are left alone.

    Args:
        robot: The truth.
        noise_rad: Standard deviation of a position [rad].
        counts: Steps per turn; 0 for none.
        speed_unit_rpm: Step of a speed [rev/min]; 0 for none.
        rng: Of this reading.
    """
    angle = 2 * math.pi / counts if counts else 0.0
    joint_pos, jaw = robot.joint_pos, robot.jaw
    if noise_rad:
        joint_pos = joint_pos + noise_rad * rng.standard_normal(joint_pos.shape)
        jaw = jaw + JAW_PER_RAD * noise_rad * rng.standard_normal(jaw.shape)
    return replace(
        robot,
        joint_pos=in_steps(joint_pos, angle),
        joint_vel=in_steps(robot.joint_vel, speed_unit_rpm * RPM),
        jaw=in_steps(jaw, JAW_PER_RAD * angle),
    )


def in_steps(values: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Values rounded to whole steps; a step of 0 leaves them as they are."""
    return np.rint(values / step) * step if step else values
