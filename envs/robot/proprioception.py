"""Reads the robot's own state out of a compiled scene, by name, with ids resolved once."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.arms import Drive
from envs.robot.facts import JAW_STROKE, JOINTS
from xr0_sim.conventions import ARM_ACTION_DIM, ARMS, ENV_ACTION_DIM
from xr0_sim.types import RobotState

PROPRIO_DIM = 12 + 12 + 2 + 6 + 8 + 14


class RobotPorts:
    """Joints, actuators and tool sites of both arms in one model."""

    def __init__(self, model: mujoco.MjModel, drive: Drive):
        names = [f"{arm}/{joint}" for arm in ARMS for joint in JOINTS]
        fingers = [f"{arm}/left_finger" for arm in ARMS]
        self.joint_qpos = np.array([model.joint(n).qposadr[0] for n in names])
        self.joint_dof = np.array([model.joint(n).dofadr[0] for n in names])
        self.jaw_qpos = np.array([model.joint(n).qposadr[0] for n in fingers])
        self._all_jaws = np.array(
            [
                [model.joint(f"{arm}/{f}_finger").qposadr[0] for f in ("left", "right")]
                for arm in ARMS
            ]
        )
        self.tool_sites = np.array([model.site(f"{arm}/tool").id for arm in ARMS])
        self._places = tuple(
            array.tolist()
            for array in (self.joint_qpos, self.joint_dof, self.jaw_qpos, self.tool_sites)
        )
        self._quat = np.empty(4)
        slots = range(ENV_ACTION_DIM)
        order = [
            model.actuator(
                f"{ARMS[i // ARM_ACTION_DIM]}/{[*JOINTS, 'left_finger'][i % ARM_ACTION_DIM]}"
            ).id
            for i in slots
        ]
        if order != list(slots):
            raise AssertionError("actuators are not in action order")
        self.ctrl_scale = np.array([*[1.0] * 6, JAW_STROKE] * 2)
        """Action unit -> actuator unit."""
        self.ctrl_lead_s = drive.lead_s()
        """What is fed forward [s]: ``ctrl = target + lead * v`` for a target moving at v."""

    def place(
        self, data: mujoco.MjData, posture: NDArray[np.float64], command: NDArray[np.float64]
    ) -> None:
        """Puts the robot at rest in a posture (14,) under the command (14,) that holds it."""
        pairs = posture.reshape(2, ARM_ACTION_DIM)
        data.qpos[self.joint_qpos] = pairs[:, :6].ravel()
        data.qpos[self._all_jaws] = (pairs[:, 6] * JAW_STROKE)[:, None]
        data.ctrl[:] = command * self.ctrl_scale

    def state(self, data: mujoco.MjData, command: NDArray[np.float64]) -> RobotState:
        """Proprioception; positions must be current (``mj_kinematics``)."""
        quat = np.empty((2, 4))
        for row, site in zip(quat, self.tool_sites, strict=True):
            mujoco.mju_mat2Quat(row, data.site_xmat[site])
        return RobotState(
            joint_pos=data.qpos[self.joint_qpos].reshape(2, 6),
            joint_vel=data.qvel[self.joint_dof].reshape(2, 6),
            jaw=data.qpos[self.jaw_qpos] / JAW_STROKE,
            tool_pos=data.site_xpos[self.tool_sites],
            tool_quat=quat,
            command=command.copy(),
        )

    def vector(self, data: mujoco.MjData, command: NDArray[np.float64]) -> NDArray[np.float32]:
        """`proprio_vector` of `state`, read straight into place."""
        qpos, qvel, jaws, sites = self._places
        pos, vel = data.qpos.tolist(), data.qvel.tolist()
        values = [pos[i] for i in qpos]
        values += [vel[i] for i in qvel]
        values += [pos[i] / JAW_STROKE for i in jaws]
        xpos, mat, quat = data.site_xpos, data.site_xmat, self._quat
        turns = []
        for site in sites:
            values += xpos[site].tolist()
            mujoco.mju_mat2Quat(quat, mat[site])
            turns += quat.tolist()
        return np.array(values + turns + command.tolist(), dtype=np.float32)


def proprio_vector(state: RobotState) -> NDArray[np.float32]:
    """Flat (54,): joint pos 12, joint vel 12, jaw 2, tool pos 6, tool quat 8, command 14."""
    return np.concatenate(
        [
            state.joint_pos.ravel(),
            state.joint_vel.ravel(),
            state.jaw,
            state.tool_pos.ravel(),
            state.tool_quat.ravel(),
            state.command,
        ]
    ).astype(np.float32)


def robot_state_from_vector(vector: NDArray[np.floating]) -> RobotState:
    """Inverse of `proprio_vector` up to float32 rounding."""
    parts = np.split(np.asarray(vector, dtype=np.float64), [12, 24, 26, 32, 40])
    return RobotState(
        joint_pos=parts[0].reshape(2, 6),
        joint_vel=parts[1].reshape(2, 6),
        jaw=parts[2],
        tool_pos=parts[3].reshape(2, 3),
        tool_quat=parts[4].reshape(2, 4),
        command=parts[5],
    )
