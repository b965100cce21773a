"""Forward and inverse kinematics of both arms, on a model that holds nothing but the robot."""

from __future__ import annotations

import functools

import mink
import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.arms import Drive, attach_arms
from envs.robot.facts import HOME_JOINTS, JOINTS
from envs.robot.following import Following
from envs.robot.servos import IdealServo, Servo
from envs.world import FIRST, World
from xr0_sim.conventions import ARMS, CONTROL_HZ, JOINTS_PER_ARM
from xr0_sim.errors import ConfigError

POSITION_COST = 1.0
ORIENTATION_COST = 0.15
"""[m/rad]: 0.1 rad of tool rotation weighs as much as 15 mm."""
DAMPING = 1e-6
STEADY_DAMPING = 1e-4
"""Of a search with bounded steps: a wrist whose axes are within some 4 degrees of one line turns at
half speed. Chosen."""


@functools.lru_cache(maxsize=8)
def robot_model(world: World = FIRST, servo: Servo | None = None) -> mujoco.MjModel:
    """The two arms alone, compiled once per process, world and servo."""
    spec = mujoco.MjSpec()
    attach_arms(spec, world, servo)
    return spec.compile()


class DualArmKinematics:
    """Tool poses of joint vectors and back. Not shared between threads.

    Joints are (..., 2, 6) [rad], positions (..., 2, 3) [m] and quaternions (..., 2, 4) wxyz in the
    world frame, arms in the order of `xr0_sim.conventions.ARMS`.

    Args:
        world: Which facts of the robot hold.
        servo: How its joints follow; None for the ideal servo.
        control_hz: Rate at which it is commanded [Hz]; experts plan by it.

    Attributes:
        world: Which facts of the robot hold.
        control_hz: Rate at which it is commanded [Hz].
        following: What these servos make of a command.
    """

    def __init__(
        self, world: World = FIRST, servo: Servo | None = None, control_hz: int = CONTROL_HZ
    ) -> None:
        self.world, self.control_hz = world, control_hz
        model = robot_model(world, servo)
        self.following = Following(Drive.of(world, servo or IdealServo()), model)
        self._model, self._data = model, mujoco.MjData(model)
        self._sites = np.array([model.site(f"{arm}/tool").id for arm in ARMS])
        self._qpos = np.array([[model.joint(f"{a}/{j}").qposadr[0] for j in JOINTS] for a in ARMS])
        self._configuration = mink.Configuration(model)
        self._tasks = [
            mink.FrameTask(f"{arm}/tool", "site", POSITION_COST, ORIENTATION_COST, lm_damping=1e-4)
            for arm in ARMS
        ]
        self._limits: list[mink.Limit] = [mink.ConfigurationLimit(model)]
        self._step_limits: dict[float, mink.VelocityLimit] = {}
        self._q = model.qpos0.copy()

    def forward(self, joints: NDArray[np.float64]) -> tuple[np.ndarray, np.ndarray]:
        """Tool positions (..., 2, 3) and quaternions (..., 2, 4) of joints (..., 2, 6)."""
        joints = np.asarray(joints, dtype=np.float64)
        if joints.shape[-2:] != (2, JOINTS_PER_ARM):
            raise ConfigError(f"joints: expected shape (..., 2, 6), got {joints.shape}")
        position = np.empty((*joints.shape[:-1], 3))
        quaternion = np.empty((*joints.shape[:-1], 4))
        data = self._data
        for row in np.ndindex(joints.shape[:-2]):
            data.qpos[self._qpos] = joints[row]
            mujoco.mj_kinematics(self._model, data)
            position[row] = data.site_xpos[self._sites]
            for arm, site in enumerate(self._sites):
                mujoco.mju_mat2Quat(quaternion[row][arm], data.site_xmat[site])
        return position, quaternion

    def inverse(
        self,
        seed: NDArray[np.float64],
        position: NDArray[np.float64],
        quaternion: NDArray[np.float64],
        iterations: int = 3,
        largest_step: float | None = None,
    ) -> NDArray[np.float64]:
        """Joints (2, 6) that bring both tools to the poses, nearest to `seed` (2, 6).

        Unreachable poses give the best compromise inside the joint limits.

        Args:
            seed: Where the search starts.
            position: Tool positions (2, 3).
            quaternion: Tool orientations (2, 4).
            iterations: Steps of the search.
            largest_step: Bound on the change of each joint per step of the search [rad], kept by
                the compromise itself: where a wrist would have to spin, the tool turns later
                instead of leaving its way. None bounds the outcome of each step alone.
        """
        limits, damping = self._limits, DAMPING
        if largest_step is not None:
            limits = [*limits, self._step_limit(largest_step)]
            damping = STEADY_DAMPING
        self._q[self._qpos] = seed
        self._configuration.update(self._q)
        for task, pos, quat in zip(self._tasks, position, quaternion, strict=True):
            task.set_target(mink.SE3(np.concatenate([quat, pos])))
        for _ in range(iterations):
            try:
                velocity = mink.solve_ik(
                    self._configuration, self._tasks, 1.0, "daqp", damping, limits=limits
                )
            except mink.NoSolutionFound:
                break
            self._configuration.integrate_inplace(np.clip(velocity, -0.5, 0.5), 1.0)
        return self._configuration.q[self._qpos].copy()

    def _step_limit(self, step: float) -> mink.VelocityLimit:
        if step not in self._step_limits:
            names = [f"{arm}/{joint}" for arm in ARMS for joint in JOINTS]
            self._step_limits[step] = mink.VelocityLimit(self._model, dict.fromkeys(names, step))
        return self._step_limits[step]


def home_joints() -> np.ndarray:
    """Resting posture of both arms, (2, 6) [rad]."""
    return np.tile(HOME_JOINTS, (2, 1))
