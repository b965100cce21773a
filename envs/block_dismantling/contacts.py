"""Who touches whom: one pass over MuJoCo's contact arrays per control tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.block_dismantling.state import NO_BRICK
from xr0_sim.conventions import ARMS

ARM_AND_BRICK = 3


@dataclass(frozen=True)
class Touch:
    """Contacts of one tick.

    Attributes:
        gripped: Brick between both pads of the left and of the right arm, or -1.
        touched: For each brick, whether some part of an arm touches it.
        peak_force: Largest normal force between an arm and a brick [N].
    """

    gripped: tuple[int, int]
    touched: Sequence[bool]
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
        self._nothing = Touch((NO_BRICK, NO_BRICK), (False,) * n_bricks, 0.0)

    def read(self, data: mujoco.MjData) -> Touch:
        """Contacts of the last physics step."""
        if not data.ncon:
            return self._nothing
        contact = data.contact
        geoms = contact.geom
        kind = self._kind[geoms]
        rows = np.flatnonzero(kind[:, 0] + kind[:, 1] == ARM_AND_BRICK)
        if not rows.size:
            return self._nothing
        touched = [False] * self.n_bricks
        pads: dict[tuple[int, int], float] = {}
        peak = 0.0
        address = contact.efc_address[rows].tolist()
        efc_force = data.efc_force
        for (first, second), row in zip(geoms[rows].tolist(), address, strict=True):
            arm_geom, brick_geom = (first, second) if self._arm[first] >= 0 else (second, first)
            brick, pad = self._brick[brick_geom], self._pad[arm_geom]
            touched[brick] = True
            force = float(efc_force[row]) if row >= 0 else 0.0
            peak = max(peak, force)
            if pad >= 0:
                pads[pad, brick] = pads.get((pad, brick), 0.0) + force
        return Touch((_grip(pads, 0), _grip(pads, 2)), touched, peak)

    def deepest(self, data: mujoco.MjData, bricks: Sequence[int]) -> float:
        """How far an arm reaches into one of these bricks [m]; 0 if none is touched."""
        depth = 0.0
        for contact in data.contact:
            pair = contact.geom.tolist()
            brick = max(self._brick[g] for g in pair)
            if brick in bricks and max(self._arm[g] for g in pair) >= 0:
                depth = max(depth, -float(contact.dist))
        return depth


def _grip(pads: dict[tuple[int, int], float], first: int) -> int:
    """Brick squeezed hardest between pads `first` and ``first + 1``, or -1."""
    best, grip = 0.0, NO_BRICK
    for (pad, brick), force in sorted(pads.items()):
        if pad == first:
            squeeze = min(force, pads.get((first + 1, brick), 0.0))
            if squeeze > best:
                best, grip = squeeze, brick
    return grip
