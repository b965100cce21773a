"""How a hand passes over a heap, and how it is held while it lifts one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from policies.scripted.grasping import natural_heading
from policies.scripted.towel.edge_grasp import TILT
from policies.scripted.towel.spread import TOP
from xr0_sim.rotations import quat_from_rotvec, quat_multiply, quat_rotate

HAND_WIDTH, CLEARANCE = 0.08, 0.025
"""Width of the way a hand sweeps over a heap, and how high above its cloth the tool passes [m];
chosen."""
LIFTED_LEAN, UPRIGHT = math.radians(35.0), math.pi / 2 - TILT
"""How far a hand that lifts leans back at the top, beyond how far any hand leans [rad]; chosen."""


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
    arm: int, pos: NDArray[np.float64], quat: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Orientation (4,) of a hand that lifts: high up its fingers point away from the arm's base.

    Upright its wrist would come to its end there, and take the hand off its way.

    Args:
        arm: Whose hand.
        pos: Of the tool, (3,) [m].
        quat: The orientation it is told to have, (4,).
    """
    outward = natural_heading(arm, pos)
    approach = quat_rotate(quat, np.array([1.0, 0.0, 0.0]))
    lean = math.atan2(float(approach[:2] @ outward), -float(approach[2]))
    least = LIFTED_LEAN * min(float(pos[2]) / TOP, 1.0) - UPRIGHT
    turn = min(max(lean, least), least + 2.0 * UPRIGHT) - lean
    axis = np.array([outward[1], -outward[0], 0.0])
    return quat_multiply(quat_from_rotvec(turn * axis), quat)
