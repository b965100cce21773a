"""Exact picture labels: where points of the scene appear in each camera."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.dual_arm import DualArmEnv
from envs.scene.cameras import MJ_CAMERAS
from xr0_sim.conventions import CAMERAS


def project(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """World points (k, 3) in a square camera picture.

    Returns:
        (k, 3): column u and row v as shares of the side, 0 at the top left, and 1 if the point lies
        in front of the camera and inside the picture. Occlusion is not tested. Camera poses must be
        current (``mj_camlight``).
    """
    index = model.camera(camera).id
    local = (points - data.cam_xpos[index]) @ data.cam_xmat[index].reshape(3, 3)
    depth = np.maximum(-local[:, 2], 1e-6)
    scale = 2 * math.tan(math.radians(float(model.cam_fovy[index])) / 2)
    u = local[:, 0] / (depth * scale) + 0.5
    v = -local[:, 1] / (depth * scale) + 0.5
    inside = (local[:, 2] < -1e-3) & (np.minimum(u, v) > 0) & (np.maximum(u, v) < 1)
    return np.stack([np.clip(u, -1, 2), np.clip(v, -1, 2), inside], axis=1)


def picture_points(
    env: DualArmEnv, points: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Named world points (3,) in every policy camera: name -> (3 cameras, 3), see `project`."""
    mujoco.mj_comPos(env.model, env.data)
    mujoco.mj_camlight(env.model, env.data)
    world = np.array(list(points.values()))
    views = [project(env.model, env.data, MJ_CAMERAS[name], world) for name in CAMERAS]
    stacked = np.stack(views, axis=1)
    return dict(zip(points, stacked, strict=True))
