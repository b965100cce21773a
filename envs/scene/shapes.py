"""What of a scene is drawn, as plain shapes and their poses: for those who draw it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

SHOWN_GROUPS = 3
"""Geometry groups below this one are drawn, as MuJoCo's renderer does by default."""
KINDS = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
}


@dataclass(frozen=True)
class Shape:
    """One piece of geometry.

    Attributes:
        body: Row of its body in `SceneShapes.poses`.
        kind: One of `KINDS`.
        size: MuJoCo's three sizes [m].
        pos: (3,) place in its body [m].
        quat: (4,) turn in its body, w first.
        rgba: (4,) colour, 0..1.
    """

    body: int
    kind: str
    size: tuple[float, ...]
    pos: tuple[float, ...]
    quat: tuple[float, ...]
    rgba: tuple[float, ...]


class SceneShapes:
    """The drawn shapes of a compiled scene.

    Args:
        model: The scene.

    Attributes:
        shapes: What is drawn.
        triangles: (n, 3) triangles of its cloth; none without one.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        shown = [geom for geom in range(model.ngeom) if _is_shown(model, geom)]
        self._bodies = sorted({int(model.geom_bodyid[geom]) for geom in shown})
        place = {body: number for number, body in enumerate(self._bodies)}
        self.shapes: Sequence[Shape] = tuple(_shape(model, geom, place) for geom in shown)
        self.triangles: NDArray[np.int32] = np.zeros((0, 3), np.int32)
        if model.nflex:
            self.triangles = model.flex_elem.reshape(-1, 3).astype(np.int32)

    def poses(self, data: mujoco.MjData) -> NDArray[np.float32]:
        """(bodies, 7) positions [m] and quaternions, w first."""
        return np.hstack([data.xpos[self._bodies], data.xquat[self._bodies]]).astype(np.float32)

    def cloth(self, data: mujoco.MjData) -> NDArray[np.float32]:
        """(points, 3) mass points of the cloth [m]."""
        return data.flexvert_xpos.reshape(-1, 3).astype(np.float32)


def _is_shown(model: mujoco.MjModel, geom: int) -> bool:
    return (
        model.geom_group[geom] < SHOWN_GROUPS
        and int(model.geom_type[geom]) in KINDS
        and _colour(model, geom)[3] > 0
    )


def _colour(model: mujoco.MjModel, geom: int) -> Any:
    material = model.geom_matid[geom]
    own = model.geom_rgba[geom]
    plain = bool((own == (0.5, 0.5, 0.5, 1.0)).all())  # MuJoCo's default: the material decides
    return model.mat_rgba[material] if material >= 0 and plain else own


def _shape(model: mujoco.MjModel, geom: int, place: dict[int, int]) -> Shape:
    return Shape(
        place[int(model.geom_bodyid[geom])],
        KINDS[int(model.geom_type[geom])],
        tuple(model.geom_size[geom].tolist()),
        tuple(model.geom_pos[geom].tolist()),
        tuple(model.geom_quat[geom].tolist()),
        tuple(_colour(model, geom).tolist()),
    )
