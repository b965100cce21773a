"""Facts of the dual-arm robot by joint name, and the servo gains derived from them.

The arm is of the ViperX 300 6-DoF class: reach 0.75 m, two of them facing each other across the
table. Sources:

* joint limits, efforts, speeds, link masses: public URDF ``vx300s`` of the maker (Interbotix);
* servo stall torques: maker's e-manual, XM540-W270 10.6 N·m and XM430-W350 4.1 N·m at 12 V; the
  shoulder and the elbow carry two XM540 each. Where URDF effort and stall torque differ, the lower
  continuous figure (URDF) is used.
* base distance 0.938 m: the two-arm table of the ALOHA 2 system.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import mujoco
import numpy as np

from assets import ARM_XML
from envs.robot.servos import IdealServo, Servo, ServoGains
from envs.world import FIRST, World
from xr0_sim.conventions import ARMS


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

SERVO_HZ = 11.0
"""Natural frequency of the closed joint loops [Hz].

Velocity is fed forward, so the tracking error is acceleration / (2π f)²: 4 m/s² of tool
acceleration leaves 0.8 mm at 11 Hz.
"""
SERVO_DAMPING = 1.0
TRACKING_POSES = 128


def arm_spec() -> mujoco.MjSpec:
    """One arm with limits and armatures written into it; no actuators yet."""
    spec = mujoco.MjSpec.from_file(str(ARM_XML))
    for name, facts in JOINTS.items():
        joint = spec.joint(name)
        joint.range = [facts.lower, facts.upper]
        joint.armature = facts.armature
        joint.actfrclimited = True
        joint.actfrcrange = [-facts.torque, facts.torque]
        joint.actgravcomp = True
        joint.damping[0] = 0.1
    for finger in ("left_finger", "right_finger"):
        spec.joint(finger).armature = 0.05
        spec.joint(finger).damping[0] = 2.0
    return spec


@functools.lru_cache(maxsize=1)
def servo_gains() -> dict[str, ServoGains]:
    """Gains by joint name: kp = I·ω², kd = 2ζ·I·ω for the joint's own reflected inertia I.

    I is the median diagonal of the mass matrix (armature included) over postures drawn uniformly
    from the middle 60 % of the joint ranges.
    """
    model = arm_spec().compile()
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
    omega = 2 * math.pi * SERVO_HZ
    return {
        name: ServoGains(kp=float(i * omega**2), kd=float(2 * SERVO_DAMPING * i * omega))
        for name, i in zip(JOINTS, np.median(inertia, axis=0), strict=True)
    }


def attach_arms(scene: mujoco.MjSpec, world: World = FIRST, servo: Servo | None = None) -> None:
    """Attaches the arm twice (``left/``, ``right/``) and adds the servos, in action order.

    Args:
        scene: What the arms become part of.
        world: Which facts of the robot hold.
        servo: How its joints follow; None for `IdealServo`.
    """
    gains_by_joint = (servo or IdealServo()).gains()
    for arm in ARMS:
        position, yaw = BASE_POSES[arm]
        frame = scene.worldbody.add_frame(
            pos=list(position), quat=[math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]
        )
        scene.attach(arm_spec(), prefix=f"{arm}/", frame=frame)
        for name, gains in gains_by_joint.items():
            _add_servo(scene, f"{arm}/{name}", gains, None)
        jaw = ServoGains(kp=2500.0, kd=60.0)
        _add_servo(scene, f"{arm}/left_finger", jaw, JAW_FORCE)


def _add_servo(
    scene: mujoco.MjSpec, joint: str, gains: ServoGains, force_limit: float | None
) -> None:
    actuator = scene.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
    )
    actuator.gainprm[0] = gains.kp
    actuator.biasprm[1] = -gains.kp
    actuator.biasprm[2] = -gains.kd
    if force_limit is not None:
        actuator.forcelimited = True
        actuator.forcerange = [-force_limit, force_limit]
