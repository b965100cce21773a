"""The two trays: where they stand, how they look."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC

BINS = ("left", "right")
BIN_HALF_SIZE = 0.085
"""Half side of the square tray, inside [m]."""
WALL = 0.004
BIN_X, BIN_Y = 0.185, 0.215
"""Nominal tray centre [m]; the right one at -y."""
BIN_COLOURS = {"light": (0.90, 0.90, 0.88, 1.0), "dark": (0.22, 0.22, 0.25, 1.0)}


def add_bins(
    spec: mujoco.MjSpec, centres: np.ndarray, colours: tuple[str, str], rim_m: float
) -> None:
    """Adds both trays.

    Args:
        spec: Scene.
        centres: Tray centres, (2, 2) [m].
        colours: Keys of `BIN_COLOURS`.
        rim_m: Height of the walls [m].
    """
    for name, centre, colour in zip(BINS, centres, colours, strict=True):
        body = spec.worldbody.add_body(name=f"bin_{name}", pos=[*centre, 0.0])
        rgba = list(BIN_COLOURS[colour])
        outer = BIN_HALF_SIZE + 2 * WALL
        body.add_geom(
            name=f"bin_{name}_floor",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[outer, outer, 0.0008],
            pos=[0, 0, 0.0004],
            rgba=[*(0.8 * np.array(rgba[:3])), 1.0],
            contype=0,
            conaffinity=0,
            group=1,
        )
        for k, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            reach = BIN_HALF_SIZE + WALL
            body.add_geom(
                name=f"bin_{name}_wall{k}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[
                    WALL if x else outer,
                    WALL if y else outer,
                    rim_m / 2,
                ],
                pos=[x * reach, y * reach, rim_m / 2],
                rgba=rgba,
                contype=COLLIDE_STATIC,
                conaffinity=COLLIDE_ARM | COLLIDE_OBJECT,
                friction=[0.5, 0.01, 0.0001],
                solref=[0.008, 1],
                group=1,
            )


def paint_bin(model: mujoco.MjModel, name: str, colour: str) -> None:
    """Gives a compiled tray another colour."""
    rgba = np.array(BIN_COLOURS[colour])
    model.geom(f"bin_{name}_floor").rgba[:3] = 0.8 * rgba[:3]
    for k in range(4):
        model.geom(f"bin_{name}_wall{k}").rgba[:] = rgba


def sample_bin_centres(rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Tray centres (2, 2) [m], each moved by up to `jitter` along x and y."""
    nominal = np.array([[BIN_X, BIN_Y], [BIN_X, -BIN_Y]])
    return nominal + rng.uniform(-jitter, jitter, (2, 2))
