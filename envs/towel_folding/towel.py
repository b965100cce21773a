"""The towel of one compiled scene: where its points are, and how it comes to lie somewhere."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import NAME, add_air_drag, rest_grid, towel_dofs
from envs.towel_folding.folds import measure
from envs.towel_folding.initial_state import SETTLE_S, crumple, flat_points, run
from envs.towel_folding.self_intersection import crossings
from envs.towel_folding.vertex_order import Naming

CRUMPLES = 20
"""How often a towel that fell flat, or through itself, is thrown again."""


class Towel:
    """Reads and sets the mass points under their present names.

    Attributes:
        naming: The present names.
    """

    def __init__(self, model: mujoco.MjModel, grid: int):
        self._model, self._grid = model, grid
        first = model.body(f"{NAME}_0")
        self._bodies = slice(first.id, model.nbody)
        self._dofs = towel_dofs(model, grid)
        joint = int(first.jntadr[0])
        self._qpos = int(model.jnt_qposadr[joint]) + np.arange(self._dofs.size)
        self.naming = Naming.plain(grid)
        self._unbent = mujoco.MjData(model).plastic.copy()
        add_air_drag(model, self._dofs)

    @property
    def body_ids(self) -> range:
        """Ids of the bodies of the mass points."""
        return range(self._bodies.start, self._bodies.stop)

    def bodies(self, data: mujoco.MjData) -> NDArray[np.float64]:
        """Mass points in the order of their bodies, world, (grid², 3) [m]."""
        return data.xpos[self._bodies]

    def points(self, data: mujoco.MjData) -> NDArray[np.float64]:
        """Mass points by name, world, (grid², 3) [m]."""
        return self.bodies(data)[self.naming.order]

    def fastest(self, data: mujoco.MjData) -> float:
        """Largest velocity component of a mass point [m/s]."""
        return float(np.abs(data.qvel[self._dofs]).max())

    def place(self, data: mujoco.MjData, points: NDArray[np.float64]) -> None:
        """Puts the mass points (grid², 3) [m] somewhere, at rest."""
        flat = np.column_stack([rest_grid(self._grid), np.zeros(len(points))])
        offset = np.empty_like(flat)
        offset[self.naming.order] = points
        offset -= flat
        offset[:, 2] -= self._model.body(f"{NAME}_0").pos[2]
        data.qpos[self._qpos] = offset.ravel()
        data.qvel[self._dofs.ravel()] = 0.0

    def lay_down(self, data: mujoco.MjData, rng: np.random.Generator, crumpled: bool) -> None:
        """Lets a new towel come to rest in the scene, flat or in a heap."""
        self.naming = Naming.plain(self._grid)
        for _ in range(CRUMPLES if crumpled else 1):
            data.plastic[:] = self._unbent
            self.place(data, flat_points(rng, self._grid))
            if crumpled:
                crumple(self._model, data, self._grid, rng)
            run(self._model, data, SETTLE_S)
            if not crumpled or self._is_heap(data):
                break

    def copy(self, source: mujoco.MjData, target: mujoco.MjData) -> None:
        """Lays the towel in one scene as it lies in another, at rest."""
        target.qpos[self._qpos] = source.qpos[self._qpos]
        target.qvel[self._dofs.ravel()] = 0.0
        target.plastic[:] = source.plastic

    def _is_heap(self, data: mujoco.MjData) -> bool:
        """Whether a thrown towel is neither flat nor, faster than contacts act, through itself."""
        points = self.points(data)
        return not measure(points, ()).good(0) and crossings(points, self._grid) == 0
