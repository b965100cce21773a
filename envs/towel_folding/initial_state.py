"""How a towel comes to lie on the table: flat with small ripples, or crumpled."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.belt import Step
from envs.towel_folding.cloth import NAME, RADIUS, SIDE, rest_grid

AREA = ((-0.04, 0.04), (-0.04, 0.04))
"""Where the middle of a towel may lie: x and y range [m]."""
YAW = math.radians(15.0)
WAVE_HEIGHT = 0.004
"""Largest rise of the ripples a flat towel is laid down with [m]."""
WAVE_SHIFT = 0.0015
"""Largest displacement within the plane [m]."""
SETTLE_S = 0.3
LIFT_S, DROP_S = 0.9, 0.9
"""Time a towel is pulled up by one point, and time it then has to fall and rest [s]."""
LIFT_FORCE = 1.1
"""Pull on the point [N]; the towel weighs half of it."""
LIFT_RADIUS = 0.035
TOP = 0.26
"""Height at which the pull ends [m]."""


def plane_motion(
    points: NDArray[np.float64], shift: NDArray[np.float64], yaw: float
) -> NDArray[np.float64]:
    """Points (k, 3) turned by `yaw` [rad] about their middle, then shifted by (2,) [m]."""
    middle = points[:, :2].mean(axis=0)
    cos, sin = math.cos(yaw), math.sin(yaw)
    moved = points.copy()
    moved[:, :2] = (points[:, :2] - middle) @ np.array([[cos, sin], [-sin, cos]]) + middle + shift
    return moved


def flat_points(rng: np.random.Generator, grid: int, yaw: float = YAW) -> NDArray[np.float64]:
    """A towel laid down somewhere on its area with mild ripples, (grid², 3) [m]."""
    rest = rest_grid(grid)
    points = np.column_stack([rest, np.full(len(rest), RADIUS)])
    for _ in range(3):
        angle, phase = rng.uniform(0, 2 * math.pi, 2)
        wave = np.sin(rest @ [math.cos(angle), math.sin(angle)] * rng.uniform(12, 30) + phase)
        points[:, 2] += (wave + 1) * rng.uniform(0, WAVE_HEIGHT / 6)
        points[:, :2] += wave[:, None] * rng.uniform(-WAVE_SHIFT, WAVE_SHIFT, 2)
    shift = np.array([rng.uniform(*AREA[0]), rng.uniform(*AREA[1])])
    return plane_motion(points, shift, float(rng.uniform(-yaw, yaw)))


def run(
    model: mujoco.MjModel, data: mujoco.MjData, seconds: float, step: Step = mujoco.mj_step
) -> None:
    """Lets the scene be for a while, played by ``step``."""
    for _ in range(round(seconds / model.opt.timestep)):
        step(model, data)


def crumple(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    grid: int,
    rng: np.random.Generator,
    step: Step = mujoco.mj_step,
) -> None:
    """Pulls the towel up by a random point, carries it sideways a little and drops it."""
    first = model.body(f"{NAME}_0").id
    rest = rest_grid(grid)
    point = rng.uniform(-0.45 * SIDE, 0.45 * SIDE, 2)
    near = np.flatnonzero(np.linalg.norm(rest - point, axis=1) < LIFT_RADIUS)
    bodies = first + near
    goal = np.array([*rng.uniform(-0.05, 0.05, 2), TOP])
    steps = round(LIFT_S / model.opt.timestep)
    for _ in range(steps):
        gap = goal - data.xpos[bodies].mean(axis=0)
        velocity = data.qvel[model.body_dofadr[bodies][:, None] + np.arange(3)].mean(axis=0)
        pull = np.clip(6.0 * gap - 0.6 * velocity, -LIFT_FORCE, LIFT_FORCE)
        data.xfrc_applied[bodies, :3] = pull / len(bodies)
        step(model, data)
    data.xfrc_applied[bodies] = 0.0
    run(model, data, DROP_S, step)
