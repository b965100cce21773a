"""Which geoms a camera can see, and which sides of cylinders: the rest need not be drawn.

MuJoCo draws every geom of a scene for every camera. Leaving out what lies wholly outside the
picture, and the sides that face away, changes no pixel as long as no shadow falls into it.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.facing import CYLINDER, cylinder_code

MARGIN = 1e-4
"""How far outside a geom must lie [m]; well above the rounding of single precision."""

WORTH = 16
"""Facets from which the seen sides of a cylinder are drawn alone; chosen by measurement."""

_TYPE = mujoco.mjtGeom
REACH = {
    int(_TYPE.mjGEOM_SPHERE): ((1, 0, 0), (1, 0, 0), (1, 0, 0)),
    int(_TYPE.mjGEOM_CAPSULE): ((1, 0, 0), (1, 0, 0), (1, 1, 0)),
    int(_TYPE.mjGEOM_ELLIPSOID): ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    CYLINDER: ((1, 0, 0), (1, 0, 0), (0, 1, 0)),
    int(_TYPE.mjGEOM_BOX): ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
"""Geom type -> matrix from its size to the half edges of the box around it, in its own frame."""

Seen = dict[int, tuple[int, tuple[float, ...]]]
"""Cylinder -> the code of its seen sides (`envs.scene.facing`) and its half edges [m]."""


class Sight:
    """Tells what a camera can see from what it cannot.

    Args:
        model: The scene; sizes and camera angles are read anew for every picture.
        aspect: Width of the pictures / their height.
        groups: Geom groups that are drawn.
    """

    def __init__(self, model: mujoco.MjModel, aspect: float, groups: NDArray[np.uint8]) -> None:
        self._model = model
        self._aspect = aspect
        kinds, material = model.geom_type, model.geom_matid
        mirrors, textured = np.zeros(model.ngeom, bool), np.zeros(model.ngeom, bool)
        if model.nmat:
            role = int(mujoco.mjtTextureRole.mjTEXROLE_RGB)
            mirrors = (material >= 0) & (model.mat_reflectance[material] > 0)
            textured = (material >= 0) & (model.mat_texid[material, role] >= 0)
        drawn = groups[model.geom_group.clip(0, 5)] > 0
        # The first geom that mirrors decides how the others are blended.
        self._ids = ids = np.flatnonzero(np.isin(kinds, list(REACH)) & drawn & ~mirrors)
        self._names = ids.tolist()
        facets = int(model.vis.quality.numslices)
        self._turn = math.tau / facets
        self._sided = (kinds[ids] == CYLINDER) & ~textured[ids] & (facets >= WORTH)
        self._reach = np.array([REACH[kind] for kind in kinds[ids].tolist()]).reshape(-1, 3, 3)
        self._sizes = np.full((len(ids), 3), np.nan)
        self._half = np.empty((len(ids), 3))
        self._spans: list[tuple[float, ...]] = []

    def look(self, data: mujoco.MjData, camera: int) -> tuple[list[int], Seen]:
        """Geoms wholly outside a camera's view, and the sides that it sees of cylinders.

        Planes, meshes and mirrors are in neither; cylinders with a texture have all their sides.

        Args:
            data: Poses of geoms and cameras.
            camera: Id of a fixed camera.
        """
        model, ids, names = self._model, self._ids, self._names
        # Other frustums than the one that the field of view describes.
        if model.cam_sensorsize[camera].any() or model.cam_projection[camera] or not names:
            return [], {}
        self._measure()
        planes = self._planes(float(model.cam_fovy[camera])) @ data.cam_xmat[camera].reshape(3, 3).T
        turned = data.geom_xmat[ids].reshape(-1, 3, 3)
        away = data.geom_xpos[ids] - data.cam_xpos[camera]
        reach = np.abs(planes @ turned) @ self._half[:, :, None]
        outside = (away @ planes.T + reach[:, :, 0] < -MARGIN).any(axis=1)
        shown = (self._sided & ~outside).nonzero()[0]
        eyes = -(away[shown, None] @ turned[shown])[:, 0] / self._half[shown]
        seen: Seen = {}
        for place, eye in zip(shown.tolist(), eyes.tolist(), strict=True):
            seen[names[place]] = (
                cylinder_code(eye[0], eye[1], eye[2], self._turn),
                self._spans[place],
            )
        return ids[outside].tolist(), seen

    def _measure(self) -> None:
        """Takes over the sizes of the geoms if they have changed."""
        sizes = self._model.geom_size[self._ids]
        if np.array_equal(sizes, self._sizes):
            return
        self._sizes = sizes
        self._half = (self._reach @ sizes[:, :, None])[:, :, 0]
        # MuJoCo's renderer has them in single precision.
        self._spans = [tuple(row) for row in self._half.astype(np.float32).tolist()]

    def _planes(self, fovy: float) -> NDArray[np.float64]:
        """Inward normals of the pyramid of view in the camera's frame, (5, 3); its tip is 0."""
        high = math.tan(math.radians(fovy) / 2)
        wide = high * self._aspect
        x, y = 1 / math.hypot(1, wide), 1 / math.hypot(1, high)
        return np.array(
            [
                (-x, 0.0, -wide * x),
                (x, 0.0, -wide * x),
                (0.0, -y, -high * y),
                (0.0, y, -high * y),
                (0.0, 0.0, -1.0),
            ]
        )
