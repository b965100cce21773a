"""Both arms with their servos, put into a scene.

**Torque–speed line** (``guards`` of a world). The voltage of a DC servo bounds what it can do: its
torque falls in a straight line from the stall torque at rest to nothing at the no-load speed, and a
joint that is carried beyond is braked. That is a clamp on the controller's part of the torque plus
the back-EMF as damping outside of the clamp: ``torque = clamp(kp·e - (kd - b)·rate, ± stall) -
b·rate`` with ``b = stall / no-load speed``, where the cited effort and speed limits of
`envs.robot.facts.JOINTS` stand for the two ends of the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.description import RobotModel, arm_description
from envs.robot.facts import BASE_POSES, JAW_FORCE, JOINTS
from envs.robot.servos import IdealServo, JointServo, Servo
from envs.world import FIRST, World
from xr0_sim.conventions import ARMS

FINGERS = ("left_finger", "right_finger")


@dataclass(frozen=True)
class Drive:
    """A servo on the arm it drives.

    Attributes:
        servo: The servo.
        robot: Which inertias and stroke the arm has.
        guards: Whether speed is limited where it is measured, see the module.
    """

    servo: Servo
    robot: RobotModel = "0.1"
    guards: bool = False

    @classmethod
    def of(cls, world: World, servo: Servo) -> Drive:
        """The servo in a world."""
        return cls(servo, world.robot, world.guards)

    def joints(self) -> Mapping[str, JointServo]:
        """The joint servos as built in: the back-EMF is the least damping a loop can have."""
        found = self.servo.joints()
        return {n: replace(found[n], kd=max(found[n].kd, self.back_emf(n))) for n in JOINTS}

    def back_emf(self, joint: str) -> float:
        """Damping by the back-EMF that is modelled apart [N·m·s/rad]."""
        return JOINTS[joint].torque / JOINTS[joint].speed if self.guards else 0.0

    def lags_s(self) -> NDArray[np.float64]:
        """How long each joint trails a command that moves steadily, without feed-forward, (6,)."""
        return np.array([joint.lag_s for joint in self.joints().values()])

    def lead_s(self) -> NDArray[np.float64]:
        """What is fed forward: seconds by which a moving target is set ahead, (14,)."""
        lags = self.lags_s() if self.servo.feedforward else np.zeros(len(JOINTS))
        return np.tile([*lags, 0.0], len(ARMS))


def arm_spec(drive: Drive) -> mujoco.MjSpec:
    """One arm with limits, armatures and friction written into it; no actuators yet."""
    spec = arm_description(drive.robot)
    share = drive.servo.gravity_compensation
    for body in spec.bodies:
        body.gravcomp *= share
    for name, servo in drive.joints().items():
        facts, joint = JOINTS[name], spec.joint(name)
        joint.range = [facts.lower, facts.upper]
        joint.actfrclimited = True
        joint.actfrcrange = [-facts.torque, facts.torque]
        joint.actgravcomp = True
        joint.armature = servo.armature
        joint.frictionloss = servo.friction
        joint.damping[0] = servo.damping + drive.back_emf(name)
    jaw = drive.servo.jaw()
    for finger in FINGERS:
        spec.joint(finger).armature = jaw.armature
        spec.joint(finger).damping[0] = jaw.damping
    return spec


def attach_arms(scene: mujoco.MjSpec, world: World = FIRST, servo: Servo | None = None) -> None:
    """Attaches the arm twice (``left/``, ``right/``) and adds the servos, in action order.

    Args:
        scene: What the arms become part of.
        world: Which facts of the robot hold.
        servo: How its joints follow; None for the ideal servo.
    """
    drive = Drive.of(world, servo or IdealServo())
    for arm in ARMS:
        position, yaw = BASE_POSES[arm]
        frame = scene.worldbody.add_frame(
            pos=list(position), quat=[math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]
        )
        scene.attach(arm_spec(drive), prefix=f"{arm}/", frame=frame)
        for name, joint in drive.joints().items():
            controller = replace(joint, kd=joint.kd - drive.back_emf(name))
            limit = JOINTS[name].torque if drive.guards else None
            _add_servo(scene, f"{arm}/{name}", controller, limit)
        _add_servo(scene, f"{arm}/{FINGERS[0]}", drive.servo.jaw(), JAW_FORCE)


def _add_servo(
    scene: mujoco.MjSpec, joint: str, servo: JointServo, force_limit: float | None
) -> None:
    actuator = scene.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
    )
    actuator.gainprm[0] = servo.kp
    actuator.biasprm[1] = -servo.kp
    actuator.biasprm[2] = -servo.kd
    if force_limit is not None:
        actuator.forcelimited = True
        actuator.forcerange = [-force_limit, force_limit]
