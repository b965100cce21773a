"""How a hand passes over a heap, and how it is held while it lifts one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.scripted.grasping import natural_heading
from xr0_sim.rotations import quat_from_rotvec, quat_multiply

HAND_WIDTH, CLEARANCE = 0.08, 0.025
"""Width of the way a hand sweeps over a heap, and how high above its cloth the tool passes [m];
chosen."""
WRIST, WRIST_END = 4, 2.0
"""Joint that bends the wrist, and its angle from which on a hand that lifts leans back [rad]; the
joint ends at 2.23 rad."""


def passing_height(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> float:
    """Height at which a tool passes over the cloth under its way [m].

    Args:
        points: Mass points (k, 3) [m].
        start: Where the tool is, (3,) [m].
        end: Where it goes, (3,) [m].
    """
    way, gaps = end[:2] - start[:2], points[:, :2] - start[:2]
    share = np.clip(gaps @ way / max(float(way @ way), 1e-9), 0.0, 1.0)
    under = np.linalg.norm(gaps - share[:, None] * way, axis=1) < HAND_WIDTH / 2
    return float(points[under, 2].max(initial=0.0)) + CLEARANCE


def leaning_back(
    arm: int, pos: NDArray[np.float64], quat: NDArray[np.float64], joints: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Orientation (4,) of a hand that lifts: its fingers point away from the arm's base if need be.

    Upright, high up, a wrist comes to its end, and then takes the hand off its way. Hands that lean
    without need lose what they pinch.

    Args:
        arm: Whose hand.
        pos: Of the tool, (3,) [m].
        quat: The orientation it is told to have, (4,).
        joints: Of the arm, (6,) [rad].
    """
    outward = natural_heading(arm, pos)
    axis = np.array([outward[1], -outward[0], 0.0])
    turn = max(0.0, float(joints[WRIST]) - WRIST_END)
    return quat_multiply(quat_from_rotvec(turn * axis), quat)
