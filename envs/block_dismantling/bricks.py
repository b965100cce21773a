"""Bricks: Duplo-like dimensions, colours, and how one is drawn and collides.

Dimensions after the toy's public measurements: stud pitch 16 mm, body height 19.2 mm, stud 9.4 mm
wide and 4.5 mm high; a body is a little smaller than its
grid cell. Studs are drawn
only; what they do mechanically is the clutch (`envs.block_dismantling.clutch`).
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC

PITCH = 0.016
"""Stud pitch [m]."""
HEIGHT = 0.0192
"""Height of one brick layer [m]."""
CLEARANCE = (0.0001, 0.0001, 0.0002)
"""Gap between a body and its grid cell on each side [m]; clutched faces do not touch, so that the
clutch alone carries the load between them."""
STUD_RADIUS = 0.0047
STUD_HEIGHT = 0.0045
DENSITY = 430.0
"""Mass per outer volume [kg/m³]: a 2x2 brick of 32 x 32 x 19.2 mm weighs 8.4 g."""

COLOURS: dict[str, tuple[float, float, float, float]] = {
    "red": (0.80, 0.10, 0.09, 1.0),
    "yellow": (0.95, 0.76, 0.08, 1.0),
    "blue": (0.08, 0.28, 0.74, 1.0),
    "green": (0.10, 0.54, 0.20, 1.0),
}


@dataclass(frozen=True)
class Brick:
    """One brick on the stud grid of its assembly.

    Attributes:
        colour: Key of `COLOURS`.
        size: Studs along the assembly's x and y, e.g. (2, 4).
        cell: Grid cell of its lowest-x, lowest-y stud.
        layer: 0 rests on the table.
    """

    colour: str
    size: tuple[int, int]
    cell: tuple[int, int]
    layer: int

    @property
    def half_size(self) -> np.ndarray:
        """Half extents of the body [m], (3,)."""
        x, y = self.size
        return np.array([x * PITCH, y * PITCH, HEIGHT]) / 2 - np.array(CLEARANCE)

    @property
    def centre(self) -> np.ndarray:
        """Body centre in the assembly frame (stud grid, z up from the table) [m], (3,)."""
        return np.array(
            [
                (self.cell[0] + self.size[0] / 2) * PITCH,
                (self.cell[1] + self.size[1] / 2) * PITCH,
                (self.layer + 0.5) * HEIGHT,
            ]
        )

    def shared_studs(self, other: Brick) -> list[tuple[int, int]]:
        """Grid cells where the two footprints overlap."""
        return [
            (x, y)
            for x in range(
                max(self.cell[0], other.cell[0]),
                min(self.cell[0] + self.size[0], other.cell[0] + other.size[0]),
            )
            for y in range(
                max(self.cell[1], other.cell[1]),
                min(self.cell[1] + self.size[1], other.cell[1] + other.size[1]),
            )
        ]


def add_brick(
    spec: mujoco.MjSpec,
    index: int,
    brick: Brick,
    origin: np.ndarray,
    contact_s: float = 0.008,
    contact_weight: float = 1.0,
) -> None:
    """Adds body ``brick{index}`` with a free joint at ``origin + brick.centre`` to the scene.

    Args:
        spec: Scene.
        index: Number of the brick.
        brick: The brick.
        origin: Origin of the assembly frame, (3,) [m].
        contact_s: Time constant of its contacts [s].
        contact_weight: Weight of that constant against the other geom's, which has 1.
    """
    name = f"brick{index}"
    half = brick.half_size
    rgba = list(COLOURS[brick.colour])
    body = spec.worldbody.add_body(name=name, pos=list(origin + brick.centre))
    body.add_freejoint(name=name)
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=list(half),
        density=DENSITY,
        rgba=rgba,
        contype=COLLIDE_OBJECT,
        conaffinity=COLLIDE_ARM | COLLIDE_OBJECT | COLLIDE_STATIC,
        condim=4,
        friction=[0.5, 0.01, 0.0001],
        solref=[contact_s, 1],
        solmix=contact_weight,
        group=1,
    )
    for x in range(brick.size[0]):
        for y in range(brick.size[1]):
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                size=[STUD_RADIUS, STUD_HEIGHT / 2, 0],
                pos=[
                    (x + 0.5 - brick.size[0] / 2) * PITCH,
                    (y + 0.5 - brick.size[1] / 2) * PITCH,
                    half[2] + STUD_HEIGHT / 2,
                ],
                rgba=rgba,
                mass=0,
                contype=0,
                conaffinity=0,
                group=1,
            )
