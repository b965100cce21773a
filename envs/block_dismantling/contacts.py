"""Who touches whom: one pass over MuJoCo's contact arrays per control tick."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK
from xr0_sim.conventions import ARMS

ARM_AND_BRICK = 3


@dataclass(frozen=True)
class Touch:
    """Contacts of one tick.

    Attributes:
        gripped: (2,) brick between both pads of an arm, or -1.
        touched: (2, n) bool, some part of the arm touches the brick.
        peak_force: Largest normal force between an arm and a brick [N].
    """

    gripped: NDArray[np.int64]
    touched: NDArray[np.bool_]
    peak_force: float


class ContactReader:
    """Geom lookup tables of one compiled scene."""

    def __init__(self, model: mujoco.MjModel, n_bricks: int):
        self.n_bricks = n_bricks
        self._brick = [NO_BRICK] * model.ngeom
        self._arm = [-1] * model.ngeom
        self._pad = [-1] * model.ngeom
        for geom in range(model.ngeom):
            body = model.body(int(model.geom_bodyid[geom])).name
            if body.startswith("brick"):
                self._brick[geom] = int(body[5:])
            for a, arm in enumerate(ARMS):
                if body.startswith(f"{arm}/"):
                    self._arm[geom] = a
        for a, arm in enumerate(ARMS):
            for f, finger in enumerate(("left", "right")):
                self._pad[model.geom(f"{arm}/{finger}_pad").id] = 2 * a + f
        # 1 for bricks, 2 for arms: only a pair of both sums to 3 (two arms make 4).
        self._kind = np.array(
            [1 if b >= 0 else 2 * (a >= 0) for a, b in zip(self._arm, self._brick, strict=True)]
        )
        self._nothing = Touch(np.full(2, NO_BRICK), np.zeros((2, n_bricks), dtype=bool), 0.0)

    def read(self, data: mujoco.MjData) -> Touch:
        """Contacts of the last physics step."""
        if not data.ncon:
            return self._nothing
        kind = self._kind[data.contact.geom].sum(axis=1)
        rows = np.flatnonzero(kind == ARM_AND_BRICK)
        if not rows.size:
            return self._nothing
        gripped = np.full(2, NO_BRICK)
        touched = np.zeros((2, self.n_bricks), dtype=bool)
        peak = 0.0
        pads = np.zeros((4, self.n_bricks))
        address = data.contact.efc_address[rows].tolist()
        efc_force = data.efc_force
        for (first, second), row in zip(data.contact.geom[rows].tolist(), address, strict=True):
            arm_geom, brick_geom = (first, second) if self._arm[first] >= 0 else (second, first)
            brick, pad = self._brick[brick_geom], self._pad[arm_geom]
            touched[self._arm[arm_geom], brick] = True
            force = float(efc_force[row]) if row >= 0 else 0.0
            peak = max(peak, force)
            if pad >= 0:
                pads[pad, brick] += force
        for a in range(2):
            grip = np.minimum(pads[2 * a], pads[2 * a + 1])
            if grip.max() > 0.0:
                gripped[a] = grip.argmax()
        return Touch(gripped, touched, peak)
