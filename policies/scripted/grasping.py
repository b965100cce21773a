"""Grasp poses of tilted hands, and where a tool stands relative to one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.facts import BASE_POSES, JAW_STROKE
from envs.robot.hand_geometry import MAX_GRASP_WIDTH, SIDES, TILT, grasp_offset_y
from xr0_sim.conventions import ARMS
from xr0_sim.rotations import quat_conjugate, quat_multiply, quat_rotate, rotation_angle

OPEN_MARGIN = 0.038
"""Total room between an open jaw and the brick [m]."""
NARROW_MARGINS = (OPEN_MARGIN, 0.028, 0.018)
"""The same for a hand that opens only as far as walls and bricks beside it allow [m]."""
PREGRASP = 0.065
"""Distance behind the grasp point from which a hand closes in [m]."""
FINGER_ROOM = 0.010
"""Distance an open finger keeps from obstacles [m]."""
LOOSE_TILT = math.radians(76.0)
BIN_TILT = math.radians(82.0)


@dataclass(frozen=True)
class Grasp:
    """A hand pose around a brick: position, orientation, grip width, room in an open jaw [m]."""

    pos: NDArray[np.float64]
    quat: NDArray[np.float64]
    width: float
    margin: float = OPEN_MARGIN

    @property
    def open_jaw(self) -> float:
        """Opening fraction on the way in."""
        return min(1.0, (self.width + self.margin) / (2 * JAW_STROKE))

    @property
    def closed_jaw(self) -> float:
        """Opening fraction at which both pads touch."""
        return self.width / (2 * JAW_STROKE)

    @property
    def approach(self) -> NDArray[np.float64]:
        """Unit direction of the way in, world (3,)."""
        return quat_rotate(self.quat, np.array([1.0, 0.0, 0.0]))

    def behind(self, distance: float) -> NDArray[np.float64]:
        """Point on the way in, `distance` [m] before the grasp."""
        return self.pos - distance * self.approach

    def relative(
        self, pos: NDArray[np.float64], quat: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """A tool pose seen from this grasp: position (3,) in its frame [m], angle between [rad]."""
        offset = quat_rotate(quat_conjugate(self.quat), pos - self.pos)
        return offset, float(rotation_angle(quat, self.quat))


def hand_quat(heading: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
    """Tool orientation along the horizontal unit vector `heading`, `tilt` [rad] down."""
    approach = np.array([*(math.cos(tilt) * heading[:2]), -math.sin(tilt)])
    up = np.array([*(math.sin(tilt) * heading[:2]), math.cos(tilt)])
    jaw = np.cross(up, approach)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.stack([approach, jaw, up], axis=1).ravel())
    return quat


def natural_heading(arm: int, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Horizontal unit vector from the arm's base to a point (2,)."""
    offset = point[:2] - np.array(BASE_POSES[ARMS[arm]][0][:2])
    return offset / np.linalg.norm(offset)


def horizontal_axes(rotation: NDArray[np.float64]) -> tuple[int, list[int]]:
    """Index of the body axis nearest to vertical, and the two others."""
    vertical = int(np.abs(rotation[2]).argmax())
    return vertical, [k for k in range(3) if k != vertical]


def stacked_grasp(
    arm: int, pos: NDArray[np.float64], quat: NDArray[np.float64], half: NDArray[np.float64]
) -> Grasp:
    """Grasp of a brick in an assembly: jaw along its x axis, coming along its y axis."""
    side = SIDES[ARMS[arm]]
    y_axis = quat_rotate(quat, np.array([0.0, 1.0, 0.0]))
    if abs(y_axis[1]) < 1e-6:
        y_axis = np.array([0.0, 1.0, 0.0])
    toward_arm = y_axis * (side if y_axis[1] > 0 else -side)
    heading = -toward_arm[:2] / np.linalg.norm(toward_arm[:2])
    point = pos + toward_arm * grasp_offset_y(half[1])
    return Grasp(point, hand_quat(heading, TILT), 2 * half[0])


def leaning_grasp(
    arm: int, pos: NDArray[np.float64], quat: NDArray[np.float64], half: NDArray[np.float64]
) -> Grasp:
    """Grasp of a brick in an assembly that leans or lies on its side; `stacked_grasp` upright.

    The jaw closes along an axis that is level and not the stack's own, so that hands on
    neighbouring bricks do not need the gap between them; the hand comes from its arm's side.
    """
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.ascontiguousarray(quat))
    rotation = matrix.reshape(3, 3)
    vertical, _ = horizontal_axes(rotation)
    jaw = 1 if vertical == 0 else 0
    along = 3 - vertical - jaw
    side = SIDES[ARMS[arm]]
    toward_arm = rotation[:, along] * (side if rotation[1, along] > 0 else -side)
    heading = -toward_arm[:2] / np.linalg.norm(toward_arm[:2])
    point = pos + toward_arm * grasp_offset_y(half[along])
    return Grasp(point, hand_quat(heading, TILT), 2 * half[jaw])


def loose_grasp(
    arm: int,
    pos: NDArray[np.float64],
    quat: NDArray[np.float64],
    half: NDArray[np.float64],
    tilt: float = LOOSE_TILT,
    clearance: Callable[[NDArray[np.float64]], float] = lambda point: math.inf,
    margins: tuple[float, ...] = (OPEN_MARGIN,),
) -> Grasp:
    """Grasp of a single brick in any posture: the jaw axis that turns the hand least and has room.

    Args:
        arm: Index of the arm.
        pos: Brick centre [m].
        quat: Brick orientation.
        half: Half extents [m].
        tilt: Approach angle below the horizontal [rad].
        clearance: Horizontal distance from a point (2,) to the nearest obstacle [m].
        margins: Room beside the brick in the open jaw, widest first; the first that leaves a finger
            its room is taken [m].
    """
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.ascontiguousarray(quat))
    rotation = matrix.reshape(3, 3)
    natural = natural_heading(arm, pos)
    _, horizontal = horizontal_axes(rotation)
    best: tuple[float, NDArray[np.float64], float, float] | None = None
    for k in horizontal:
        width = 2 * half[k]
        if width > MAX_GRASP_WIDTH:
            continue
        axis = rotation[:2, k] / max(float(np.linalg.norm(rotation[:2, k])), 1e-9)
        heading = np.array([-axis[1], axis[0]])
        if heading @ natural < 0:
            heading = -heading
        for margin in margins:
            reach = width / 2 + margin / 2 + 0.008
            room = min(clearance(pos[:2] + reach * axis), clearance(pos[:2] - reach * axis))
            if room >= FINGER_ROOM:
                break
        cost = math.acos(min(1.0, float(heading @ natural)))
        cost += 12.0 * max(0.0, width - 0.04) + 100.0 * max(0.0, FINGER_ROOM - room)
        if best is None or cost < best[0]:
            best = (cost, heading, width, margin)
    if best is None:
        best = (0.0, natural, MAX_GRASP_WIDTH, margins[0])
    _, heading, width, margin = best
    return Grasp(pos.copy(), hand_quat(heading, tilt), width, margin)


def levelling(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest world rotation (quaternion) that brings a body's steepest axis to the vertical."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.ascontiguousarray(quat))
    rotation = matrix.reshape(3, 3)
    vertical, _ = horizontal_axes(rotation)
    axis = rotation[:, vertical] * np.sign(rotation[2, vertical])
    cross = np.array([axis[1], -axis[0], 0.0])
    out = np.array([1.0 + axis[2], *cross])
    return out / np.linalg.norm(out)


def turn_about_z(angle: float) -> NDArray[np.float64]:
    """Rotation about the world vertical as a quaternion."""
    return np.array([math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)])


def half_height(quat: NDArray[np.float64], half: NDArray[np.float64]) -> float:
    """Vertical half extent of a box in any orientation [m]."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.ascontiguousarray(quat))
    return float(np.abs(rotation.reshape(3, 3)[2]) @ half)


def compose(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion product."""
    return quat_multiply(left, right)
