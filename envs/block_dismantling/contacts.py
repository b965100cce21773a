"""Who touches whom: one pass over MuJoCo's contact arrays per control tick."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK
from xr0_sim.conventions import ARMS


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
        self._brick = np.full(model.ngeom, NO_BRICK)
        self._arm = np.full(model.ngeom, -1)
        self._pad = np.full(model.ngeom, -1)
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

    def read(self, data: mujoco.MjData) -> Touch:
        """Contacts of the last physics step."""
        gripped = np.full(2, NO_BRICK)
        touched = np.zeros((2, self.n_bricks), dtype=bool)
        peak = 0.0
        if data.ncon:
            geoms = data.contact.geom
            arm, brick = self._arm[geoms], self._brick[geoms]
            rows = np.flatnonzero((arm.max(axis=1) >= 0) & (brick.max(axis=1) >= 0))
            if rows.size:
                arm, brick = arm[rows].max(axis=1), brick[rows].max(axis=1)
                pad = self._pad[geoms[rows]].max(axis=1)
                address = data.contact.efc_address[rows]
                force = np.where(address >= 0, data.efc_force[address], 0.0)
                touched[arm, brick] = True
                peak = float(force.max())
                pads = np.zeros((4, self.n_bricks))
                np.add.at(pads, (pad[pad >= 0], brick[pad >= 0]), force[pad >= 0])
                for a in range(2):
                    grip = np.minimum(pads[2 * a], pads[2 * a + 1])
                    if grip.max() > 0.0:
                        gripped[a] = grip.argmax()
        return Touch(gripped, touched, peak)
