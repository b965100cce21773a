"""Exact picture labels of a block scene: where bricks, trays and tools appear in each camera."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bricks import COLOURS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.dual_arm import MJ_CAMERAS
from xr0_sim.conventions import ARMS, CAMERAS

CLASSES = (*(f"{c} brick" for c in COLOURS), "left bin", "right bin", "left tool", "right tool")
NO_CLASS = -1
FIXED = 4
"""Objects that are always there: two trays, two tools."""


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


def object_classes(env: BlockDismantlingEnv) -> NDArray[np.int64]:
    """Index into `CLASSES` of every labelled object: the bricks, then trays and tools, (n + 4,)."""
    names = list(COLOURS)
    bricks = [names.index(b.colour) for b in env.bricks]
    return np.array([*bricks, *range(len(names), len(names) + FIXED)])


def detections(env: BlockDismantlingEnv) -> NDArray[np.float32]:
    """Picture positions of every labelled object, (3 cameras, n + 4, 3), see `project`."""
    model, data = env.model, env.data
    mujoco.mj_camlight(model, data)
    bricks = [data.body(f"brick{i}").xpos for i in range(len(env.bricks))]
    trays = [np.array([*centre, 0.0]) for centre in env.bins]
    tools = [data.site(f"{arm}/tool").xpos for arm in ARMS]
    points = np.array([*bricks, *trays, *tools])
    views = [project(model, data, MJ_CAMERAS[name], points) for name in CAMERAS]
    return np.stack(views).astype(np.float32)
