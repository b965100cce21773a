"""Where the fixed cameras of a scene stand, and how large the policy's pictures are.

The wrist cameras belong to the robot (`assets/robot/arm.xml`).
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.world import World

Point = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """A fixed camera.

    Attributes:
        pos: Where it stands [m].
        target: What it looks at, z up [m].
        fovy: Vertical field of view [°].
    """

    pos: Point
    target: Point
    fovy: float

    @property
    def axes(self) -> list[float]:
        """Its right and its up in the world, 6 numbers."""
        forward = np.subtract(self.target, self.pos)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return [*right, *np.cross(right, forward)]


@dataclass(frozen=True)
class Views:
    """The fixed cameras of a world.

    Attributes:
        base: The policy's base view.
        video: The view of films.
        image_size: Side of a policy picture where nobody asks for another [px].
    """

    base: View
    video: View
    image_size: int


AT_THE_HEAD = View((-0.42, 0.0, 0.70), (0.05, 0.0, 0.0), 39.0)
"""At the operator's head: all of the table between the arms."""

VIEWS = {
    "0.1": Views(AT_THE_HEAD, View((-0.98, 0.0, 0.66), (0.02, 0.0, 0.10), 42.0), 128),
    # Chosen: in films a towel fills the space between the bands of text.
    "close": Views(AT_THE_HEAD, View((-0.72, 0.0, 0.66), (-0.02, 0.0, -0.03), 36.0), 224),
}
"""Field ``views`` of `envs.world.World` -> cameras."""


def views_of(world: World, close: Views | None = None) -> Views:
    """The fixed cameras of a world.

    Args:
        world: The world.
        close: A task's own for worlds with close views.
    """
    return close if close is not None and world.views == "close" else VIEWS[world.views]


def add_cameras(spec: mujoco.MjSpec, views: Views) -> None:
    """Adds the cameras ``base`` and ``video`` to a scene."""
    for name, view in (("base", views.base), ("video", views.video)):
        camera = spec.worldbody.add_camera(name=name, pos=list(view.pos), fovy=view.fovy)
        camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
        camera.alt.xyaxes = view.axes
