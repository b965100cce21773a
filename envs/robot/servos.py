"""The joint servos as a value: how a commanded joint angle becomes torque.

Every servo is a position loop::

    torque = kp · (command + lead · command rate - angle) - kd · rate

Without feed-forward the lead is zero, and a joint that moves at a rate v trails its command by
``kd / kp · v``; without gravity compensation it hangs below it by ``gravity torque / kp``. A servo
of one's own is a frozen dataclass derived from `Servo`, added to `xr0_sim.registry.servos`.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from envs.robot.description import arm_description
from envs.robot.facts import JOINTS
from xr0_sim.errors import ConfigError
from xr0_sim.registry import servos


@dataclass(frozen=True)
class JointServo:
    """One joint with its servo.

    Attributes:
        kp: Stiffness [N·m/rad], of the jaw [N/m].
        kd: Damping of the whole loop, back-EMF included [N·m·s/rad], of the jaw [N·s/m].
        armature: Rotor inertia seen through the gears [kg·m²], of a finger [kg].
        friction: Dry friction [N·m].
        damping: Viscous friction in the gears, beside `kd` [N·m·s/rad], of a finger [N·s/m].
    """

    kp: float
    kd: float
    armature: float
    friction: float = 0.0
    damping: float = 0.0

    @property
    def lag_s(self) -> float:
        """How long a steadily moving joint trails its command [s]."""
        return self.kd / self.kp


@dataclass(frozen=True)
class Servo(abc.ABC):
    """A servo of every joint of the arm, and what is fed forward to it.

    Attributes:
        feedforward: Whether the rate of the command is fed forward, which cancels the lag.
        gravity_compensation: Share of the arm's own weight that is balanced, 0..1; what a hand
            carries is never known.
    """

    feedforward: bool = True
    gravity_compensation: float = 1.0

    def __post_init__(self) -> None:
        """Rejects a share outside 0..1."""
        if not 0.0 <= self.gravity_compensation <= 1.0:
            raise ConfigError(
                "servo gravity_compensation: expected 0 .. 1, got "
                f"{self.gravity_compensation}; 0 balances nothing, 1 the whole arm"
            )

    @abc.abstractmethod
    def joints(self) -> Mapping[str, JointServo]:
        """The servos by joint name, one for each of `envs.robot.facts.JOINTS`."""

    @abc.abstractmethod
    def jaw(self) -> JointServo:
        """The servo of the coupled fingers; it drives the left one."""


NATURAL_HZ = 11.0
"""Natural frequency of the ideal joint loops [Hz].

Velocity is fed forward, so the tracking error is acceleration / (2π f)²: 4 m/s² of tool
acceleration leaves 0.8 mm at 11 Hz.
"""
DAMPING_RATIO = 1.0
LIGHT_FINGERS = JointServo(kp=2500.0, kd=60.0, armature=0.05, damping=2.0)
"""Of a pair of fingers; chosen."""
TRACKING_POSES = 128


@dataclass(frozen=True)
class IdealServo(Servo):
    """Loops of one natural frequency, critically damped: kp = I·ω², kd = 2ζ·I·ω.

    I is the joint's own reflected inertia: the median diagonal of the mass matrix (armature
    included) over postures drawn uniformly from the middle 60 % of the joint ranges. Stiffer than
    an identified arm: waist 8 ×, shoulder 5 ×, elbow 2 ×.
    """

    def joints(self) -> Mapping[str, JointServo]:
        """See `Servo.joints`."""
        return _ideal_joints()

    def jaw(self) -> JointServo:
        """See `Servo.jaw`."""
        return LIGHT_FINGERS


@functools.lru_cache(maxsize=1)
def _ideal_joints() -> Mapping[str, JointServo]:
    spec = arm_description()
    for name, facts in JOINTS.items():
        spec.joint(name).armature = facts.armature
    model = spec.compile()
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    dofs = np.array([model.joint(name).dofadr[0] for name in JOINTS])
    qpos = np.array([model.joint(name).qposadr[0] for name in JOINTS])
    lower = np.array([f.lower for f in JOINTS.values()])
    upper = np.array([f.upper for f in JOINTS.values()])
    inertia = np.empty((TRACKING_POSES, len(JOINTS)))
    full = np.zeros((model.nv, model.nv))
    for row in inertia:
        data.qpos[qpos] = lower + (upper - lower) * rng.uniform(0.2, 0.8, len(JOINTS))
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, full)
        row[:] = full[dofs, dofs]
    omega = 2 * math.pi * NATURAL_HZ
    return {
        name: JointServo(
            kp=float(i * omega**2),
            kd=float(2 * DAMPING_RATIO * i * omega),
            armature=JOINTS[name].armature,
            damping=0.1,
        )
        for name, i in zip(JOINTS, np.median(inertia, axis=0), strict=True)
    }


IDENTIFIED: Mapping[str, JointServo] = {
    "waist": JointServo(kp=43.0, kd=5.76, armature=JOINTS["waist"].armature),
    "shoulder": JointServo(kp=265.0, kd=20.0, armature=0.395, friction=2.0),
    "elbow": JointServo(kp=227.0, kd=18.49, armature=0.383, friction=1.15),
    "forearm_roll": JointServo(kp=78.0, kd=6.78, armature=0.14),
    "wrist_angle": JointServo(kp=37.0, kd=6.28, armature=0.008),
    "wrist_rotate": JointServo(kp=10.4, kd=1.2, armature=JOINTS["wrist_rotate"].armature),
}
"""System identification of ALOHA 2, as published in ``aloha/aloha.xml`` of google-deepmind's
mujoco_menagerie (Apache 2.0). It gives the waist and the last joint no armature of their own; they
keep the one of `envs.robot.facts`. What it calls joint damping is the damping of the whole loop."""


@dataclass(frozen=True)
class IdentifiedServo(Servo):
    """The gains, armatures and dry friction that were identified on ALOHA 2, see `IDENTIFIED`.

    It compensates no weight, as a real Dynamixel position loop. That loop feeds nothing forward
    either: ``feedforward=false``. Sending the set-points ahead is left to the host by default:
    the scripted expert of the blocks does without, that of the towel does markedly worse.

    Attributes:
        fingers: ``light``: those of the ideal servo; ``identified``: those of the same source, kp
            2000, kv 124, damping 40, armature 0.243 kg each. They belong to ALOHA 2's own rail and
            fingers, and take four times as long to open under the soft grip that a towel asks for.
    """

    feedforward: bool = True
    gravity_compensation: float = 0.0
    fingers: Literal["light", "identified"] = "light"

    def joints(self) -> Mapping[str, JointServo]:
        """See `Servo.joints`."""
        return IDENTIFIED

    def jaw(self) -> JointServo:
        """See `Servo.jaw`."""
        if self.fingers == "light":
            return LIGHT_FINGERS
        return JointServo(kp=2000.0, kd=124.0, armature=0.243, damping=40.0)


servos.add(
    "ideal",
    IdealServo(),
    "joint loops of 11 Hz from the arm's inertia, nothing trails or hangs; chosen",
)
servos.add("identified", IdentifiedServo(), "mujoco_menagerie, aloha/aloha.xml")


def find_servo(servo: str | Servo) -> Servo:
    """The servo that ``name[:field=value,...]`` names, or the value itself.

    Raises:
        ConfigError: Unknown name or field, a value that does not fit, or no `Servo`.
    """
    found: Servo = servos.value(servo, Servo)
    missing = sorted(set(JOINTS) - set(found.joints()))
    if missing:
        raise ConfigError(
            f"servo {servo!r}: expected a JointServo for every joint, got none for "
            f"{', '.join(missing)}"
        )
    return found
