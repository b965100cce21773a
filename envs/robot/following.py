"""What the servos make of a command: the posture it stands for, and the command a posture needs.

A joint that moves trails its command, a joint under load hangs below it. Both are known in advance
in free space; what is left between command and joint is contact, friction, acceleration::

    command ── lag · joint rate ── weight / kp ──► reference ≈ joint, if nothing is in the way

Where rate and weight are fed forward in the servo itself, reference and command are one.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.arms import Drive
from envs.robot.facts import HOME_JOINTS, JOINTS
from xr0_sim.conventions import ARMS

SOFT = 0.004
"""Free tool error from which on an arm counts as soft [m]."""
LEVER, BRISK = 0.5, 2.5
"""Distance of a working tool from the big joints [m], and a brisk acceleration of it [m/s²]."""


class Following:
    """Turns commands into references and back. Not shared between threads.

    Args:
        drive: Servo and robot.
        model: Holds both arms and nothing else.

    Attributes:
        play_m: Distance between the tool and where it is sent up to which nothing need be in the
            way [m].
    """

    def __init__(self, drive: Drive, model: mujoco.MjModel) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        names = [[f"{arm}/{joint}" for joint in JOINTS] for arm in ARMS]
        self._qpos = np.array([[model.joint(n).qposadr[0] for n in row] for row in names])
        self._dofs = np.array([[model.joint(n).dofadr[0] for n in row] for row in names])
        self._lag_s = np.zeros(len(JOINTS)) if drive.servo.feedforward else drive.lags_s()
        unbalanced = 1.0 - drive.servo.gravity_compensation
        self._give = np.array([unbalanced / joint.kp for joint in drive.joints().values()])
        self.play_m = self._play(drive)
        self._exact = not (self._lag_s.any() or self._give.any())

    def _play(self, drive: Drive) -> float:
        """Tool error that friction and brisk acceleration leave where nothing blocks [m]."""
        model, data = self._model, self._data
        data.qpos[self._qpos] = HOME_JOINTS
        mujoco.mj_forward(model, data)
        inertia = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, inertia)
        inertias = inertia.diagonal()[self._dofs[0]]
        torques = [
            servo.friction + mass * BRISK / LEVER
            for servo, mass in zip(drive.joints().values(), inertias, strict=True)
        ]
        stiffness = [servo.kp for servo in drive.joints().values()]
        return LEVER * float((np.array(torques) / stiffness)[:3].max())

    @property
    def soft(self) -> bool:
        """Whether a command can be far from a tool that nothing but friction holds back."""
        return self.play_m > SOFT

    @property
    def lags(self) -> bool:
        """Whether a moving joint trails its command."""
        return bool(self._lag_s.any())

    def reference(
        self, command: NDArray[np.float64], pos: NDArray[np.float64], vel: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Posture (2, 6) that a command (2, 6) stands for at joints (2, 6) that move at a rate.

        Args:
            command: Commanded joints [rad].
            pos: Present joints [rad].
            vel: Their rates [rad/s].
        """
        if self._exact:
            return command
        return command - self._lag_s * vel - self.sag(pos)

    def command(
        self, wanted: NDArray[np.float64], rate: NDArray[np.float64], pos: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Command (2, 6) for a reference at the wanted posture that moves on at a rate [rad/s]."""
        if self._exact:
            return wanted
        return wanted + self._lag_s * rate + self.sag(pos)

    def sag(self, pos: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the arms hang below their commands at rest (2, 6) [rad]; payload not counted."""
        if not self._give.any():
            return np.zeros_like(pos)
        model, data = self._model, self._data
        data.qpos[self._qpos] = pos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        torque = np.empty(model.nv)
        mujoco.mj_rne(model, data, 0, torque)
        return torque[self._dofs] * self._give
