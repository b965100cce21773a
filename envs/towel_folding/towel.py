"""The towel of one compiled scene: where its points are, and how it comes to lie somewhere."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.bend_friction import BendFriction
from envs.towel_folding.cloth import NAME, add_air_drag, rest_grid, towel_dofs
from envs.towel_folding.folds import measure
from envs.towel_folding.initial_state import SETTLE_S, crumple, flat_points, run
from envs.towel_folding.material import ClothMaterial
from envs.towel_folding.self_intersection import crossings
from envs.towel_folding.vertex_order import Naming

REST_SPEED = 0.03
"""A towel is at rest while no mass point is faster [m/s]."""
LONGEST_FALL_S = 3.0
"""How long a stiff towel may go on falling after it was let go [s]."""
CRUMPLES = 20
"""How often a towel that fell flat, or through itself, is thrown again."""


class Towel:
    """Reads and sets the mass points under their present names.

    Attributes:
        naming: The present names.
        friction: Its internal friction, None for a material without.
    """

    def __init__(self, model: mujoco.MjModel, grid: int, material: ClothMaterial):
        self._model, self._grid = model, grid
        first = model.body(f"{NAME}_0")
        self._bodies = slice(first.id, model.nbody)
        self._dofs = towel_dofs(model, grid)
        joint = int(first.jntadr[0])
        self._qpos = int(model.jnt_qposadr[joint]) + np.arange(self._dofs.size)
        self.naming = Naming.plain(grid)
        self._unbent = mujoco.MjData(model).plastic.copy()
        self.friction = BendFriction(model, grid, material) if material.bend_friction else None
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
            if self.friction is not None:
                self.friction.forget(data)
            self.place(data, flat_points(rng, self._grid))
            if crumpled:
                crumple(self._model, data, self._grid, rng, self._step)
            run(self._model, data, SETTLE_S, self._step)
            if self.friction is not None:
                self._await_rest(data)
            if not crumpled or self._is_heap(data):
                break

    def copy(self, source: mujoco.MjData, target: mujoco.MjData) -> None:
        """Lays the towel in one scene as it lies in another, at rest."""
        target.qpos[self._qpos] = source.qpos[self._qpos]
        target.qvel[self._dofs.ravel()] = 0.0
        target.plastic[:] = source.plastic
        target.userdata[:] = source.userdata

    def _step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """A physics step with internal friction."""
        if self.friction is not None:
            self.friction.apply(data)
        mujoco.mj_step(model, data)

    def _await_rest(self, data: mujoco.MjData) -> None:
        """Waits for a stiff heap that stands on its edges to fall over or stay."""
        waited_s = 0.0
        while self.fastest(data) > REST_SPEED and waited_s < LONGEST_FALL_S:
            run(self._model, data, SETTLE_S, self._step)
            waited_s += SETTLE_S

    def _is_heap(self, data: mujoco.MjData) -> bool:
        """Whether a thrown towel is neither flat nor, faster than contacts act, through itself."""
        points = self.points(data)
        return not measure(points, ()).good(0) and crossings(points, self._grid) == 0
