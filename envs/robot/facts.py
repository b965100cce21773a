"""Facts of the dual-arm robot by joint name.

The arm is of the ViperX 300 6-DoF class: reach 0.75 m, two of them facing each other across the
table. Sources:

* joint limits, efforts, speeds, link masses: public URDF ``vx300s`` of the maker (Interbotix);
* servo stall torques: maker's e-manual, XM540-W270 10.6 N·m and XM430-W350 4.1 N·m at 12 V; the
  shoulder and the elbow carry two XM540 each. Where URDF effort and stall torque differ, the lower
  continuous figure (URDF) is used.
* base distance 0.938 m: the two-arm table of the ALOHA 2 system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class JointFacts:
    """Limits of one revolute joint: range [rad], torque [N·m], speed [rad/s], armature [kg·m²].

    The armature is the rotor inertia seen through the gear train; the servo maker publishes gear
    ratios (272.5:1, 353.5:1) but no rotor inertia, so a coreless rotor of 0.3 and 0.1 g·cm² (10 mm
    and 8 mm class) is assumed: 272.5² · 3e-8 = 2.2e-3 per XM540, 353.5² · 1e-8 = 1.2e-3 per XM430.
    """

    lower: float
    upper: float
    torque: float
    speed: float
    armature: float


JOINTS: dict[str, JointFacts] = {
    "waist": JointFacts(-math.pi, math.pi, 10.0, math.pi, 0.0022),
    "shoulder": JointFacts(math.radians(-106), math.radians(72), 20.0, math.pi, 0.0044),
    "elbow": JointFacts(math.radians(-101), math.radians(92), 15.0, math.pi, 0.0044),
    "forearm_roll": JointFacts(-math.pi, math.pi, 2.0, math.pi, 0.0022),
    "wrist_angle": JointFacts(math.radians(-107), math.radians(128), 5.0, math.pi, 0.0022),
    "wrist_rotate": JointFacts(-math.pi, math.pi, 1.0, math.pi, 0.0012),
}

BASE_POSES = {
    "left": ((0.0, 0.469, 0.0), -math.pi / 2),
    "right": ((0.0, -0.469, 0.0), math.pi / 2),
}
"""Arm -> base position [m] and yaw [rad] in the world frame."""

HOME_JOINTS = (0.0, -0.656, 0.753, 0.0, 1.125, 0.0)
"""Resting posture of either arm [rad]: tool above its own side of the table, pointing down."""

JAW_STROKE = 0.045
"""Travel of one finger [m]; the opening between the pads is twice that."""
HOME_JAW = 0.8
"""Opening fraction of both jaws at the start of an episode."""
JAW_FORCE = 28.0
"""Grip force of the coupled jaw [N]: a quarter of an XM430's stall torque on a 36 mm crank."""
JAW_SPEED = 4.0
"""Fastest change of the opening fraction [1/s]."""
