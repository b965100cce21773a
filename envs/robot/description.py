"""The arm as an `mujoco.MjSpec`: the drawn geometry, with simplified or described inertias.

``described`` takes centres of mass and full inertia tensors from the maker's public description
(Interbotix, ``interbotix_xsarm_descriptions/urdf/vx300s.urdf.xacro``), and the fingers' stroke of
0.021 .. 0.057 m from it. Geometry and kinematics are those of ``assets/robot/arm.xml`` either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from assets import ARM_XML

RobotModel = Literal["0.1", "described"]
"""``0.1``: centres of mass on the links' planes of symmetry, diagonal inertias, 45 mm of stroke."""

DESCRIBED_STROKE = 0.036
"""Travel of one finger by the description [m]."""


@dataclass(frozen=True)
class Inertial:
    """Mass [kg], centre of mass (3,) [m] and inertia about it (6,) [kg·m²], in the link's frame.

    The inertia is given as ixx, iyy, izz, ixy, ixz, iyz.
    """

    mass: float
    centre: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]

    def tensor(self) -> NDArray[np.float64]:
        """The inertia as a matrix (3, 3)."""
        xx, yy, zz, xy, xz, yz = self.inertia
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


LINKS: dict[str, Inertial] = {
    "shoulder_link": Inertial(
        0.798614,
        (0.000259233, -0.0000033552, 0.0116129),
        (0.0009388, 0.001138, 0.001201, -1.0e-9, -1.91e-8, 5.9568e-6),
    ),
    "upper_arm_link": Inertial(
        0.792592,
        (0.0206949, 4.0e-10, 0.226459),
        (0.008925, 0.008937, 0.0009357, 0.0, 0.0, 0.001201),
    ),
    "upper_forearm_link": Inertial(
        0.322228,
        (0.105723, 0.0, 0.0),
        (0.0001524, 0.001342, 0.001441, -1.883e-5, -8.4064e-6, 1.2564e-6),
    ),
    # Its inertia is given in a frame turned by half a turn about x: ixy changes sign.
    "lower_forearm_link": Inertial(
        0.414823,
        (0.0513477, 0.00680462, 0.0),
        (0.0001753, 0.0005269, 0.0005911, 8.528e-5, 0.0, 0.0),
    ),
    "wrist_link": Inertial(
        0.115395,
        (0.046743, -7.6652e-6, 0.010565),
        (4.631e-5, 4.514e-5, 5.27e-5, 1.95e-8, 2.3e-9, 4.2002e-6),
    ),
}
"""The links by name. ``upper_arm_link`` is taken as written, although its only product stands at
iyz while its centre lies off in x."""

GRIPPER_PARTS = (
    Inertial(
        0.097666,
        (0.023001, 0.0, 0.011523),
        (3.268e-5, 2.436e-5, 2.119e-5, 0.0, 0.0, 2.785e-7),
    ),
    Inertial(
        0.008009,
        (0.0485 + 0.002378, 2.85e-8, 0.0),
        (2.0386e-6, 4.2979e-6, 2.3796e-6, 0.0, 6.559e-7, 0.0),
    ),
    Inertial(
        0.150986,
        (0.042825 + 0.006794, -4.272e-7, -0.000776),
        (7.895e-5, 3.283e-4, 3.095e-4, -1.2e-9, 1.341e-7, 1.7465e-6),
    ),
)
"""Gripper, gripper propeller and gripper bar in the frame of ``gripper_link``; the description's
placeholders of 1 g, which only carry frames, are left out."""

FINGER_MASS, FINGER_INERTIA = 0.034796, (2.433e-5, 1.255e-5, 1.417e-5, 0.0, 0.0, 0.0)
FINGER_CENTRE = (0.034, 0.015, 0.0)
"""Of a finger's frame, which stands at the pad's face; the description's finger centre is 6 mm
inside its joint's origin, 21 mm off the middle when shut. Its product of 2.4e-6 kg·m² is left out:
the drawn finger is longer than the described one."""


def arm_description(robot: RobotModel = "0.1") -> mujoco.MjSpec:
    """One arm without actuators, joint limits or armatures."""
    spec = mujoco.MjSpec.from_file(str(ARM_XML))
    if robot == "described":
        for name, inertial in {**LINKS, "gripper_link": composite(GRIPPER_PARTS)}.items():
            _set_inertial(spec.body(name), inertial)
        x, y, z = FINGER_CENTRE
        for side, sign in (("left", 1.0), ("right", -1.0)):
            finger = Inertial(FINGER_MASS, (x, sign * y, z), FINGER_INERTIA)
            _set_inertial(spec.body(f"{side}_finger"), finger)
            spec.joint(f"{side}_finger").range = [0.0, DESCRIBED_STROKE]
    return spec


def composite(parts: tuple[Inertial, ...]) -> Inertial:
    """One rigid body of several, by the parallel-axis theorem."""
    mass = sum(part.mass for part in parts)
    weighted = np.array([part.mass * np.array(part.centre) for part in parts])
    centre = weighted.sum(axis=0) / mass
    total = np.zeros((3, 3))
    for part in parts:
        arm = np.array(part.centre) - centre
        total += part.tensor() + part.mass * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    x, y, z = centre.tolist()
    diagonal, above = np.diag(total).tolist(), total[[0, 0, 1], [1, 2, 2]].tolist()
    return Inertial(mass, (x, y, z), (*diagonal, *above))


def _set_inertial(body: mujoco.MjsBody, inertial: Inertial) -> None:
    body.mass = inertial.mass
    body.ipos = list(inertial.centre)
    body.iquat = [1.0, 0.0, 0.0, 0.0]
    body.inertia = [0.0, 0.0, 0.0]
    body.fullinertia = list(inertial.inertia)
