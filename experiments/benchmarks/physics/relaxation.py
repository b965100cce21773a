"""How long a wrinkle stays: a towel with two arches, left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import RADIUS, SIDE, rest_grid
from envs.towel_folding.env import TowelFoldingEnv

WAVELENGTH_M, STEEPEST_RAD = 0.15, 0.9
"""Two arches over the towel, 38 mm high, of unchanged arc length."""
LOOKS_S = (0.2, 1.0, 2.0, 3.0)


def wrinkled(grid: int) -> NDArray[np.float64]:
    """Mass points (grid², 3) [m] of a towel with two wrinkles across x."""
    spacing = SIDE / (grid - 1)
    angle = STEEPEST_RAD * np.sin(2 * np.pi * np.linspace(0, SIDE, grid)[:-1] / WAVELENGTH_M)
    x = np.concatenate([[0.0], np.cumsum(spacing * np.cos(angle))])
    z = np.concatenate([[0.0], np.cumsum(spacing * np.sin(angle))])
    points = np.column_stack([rest_grid(grid), np.full(grid**2, RADIUS)])
    points[:, 0] = np.repeat(x - x.mean(), grid)
    points[:, 2] += np.repeat(z - z.min(), grid)
    return points


def measure_relaxation(env_kwargs: dict[str, Any], seed: int) -> dict[str, float]:
    """Height of the wrinkles [mm] at the start and after a while, the arms at rest.

    Args:
        env_kwargs: Arguments of the environment.
        seed: Seed of the scene.
    """
    env = TowelFoldingEnv(observation="state", **env_kwargs)
    env.reset_scene(seed)
    env._towel.place(env.data, wrinkled(env.cloth.grid))
    rest = env.robot_state().command
    found = {"wrinkle_0s_mm": _height_mm(wrinkled(env.cloth.grid))}
    for look_s in LOOKS_S:
        while env.tick < round(look_s * env.control_hz):
            env.advance(rest)
        found[f"wrinkle_{look_s:g}s_mm"] = _height_mm(env.points)
    return found


def _height_mm(points: NDArray[np.float64]) -> float:
    return 1e3 * float(points[:, 2].max() - RADIUS)
