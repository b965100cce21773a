"""Which hand holds and which touches the towel: one pass over MuJoCo's contacts per tick."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ARMS

NOTHING = -1
SQUEEZE = 0.08
"""Normal force along the jaw axis on each pad that counts as a hold [N]."""
GRIP_JAW = 0.22
"""Opening below which a squeeze is a hold: two or three layers, not a towel pushed together."""
ALONG_JAW = 0.6
"""Smallest cosine between a contact normal and the jaw axis of a squeeze."""


@dataclass(frozen=True)
class Touch:
    """Contacts of one tick, arms in the order left, right.

    Attributes:
        held: Mass point between both pads, nearest to the middle of the pinch, or -1.
        touched: Whether some part of the arm touches the towel.
        squeeze: Smaller of both pads' forces along the jaw axis [N].
    """

    held: tuple[int, int]
    touched: tuple[bool, bool]
    squeeze: tuple[float, float]


NO_TOUCH = Touch((NOTHING, NOTHING), (False, False), (0.0, 0.0))


class ContactReader:
    """Geom lookup tables of one compiled scene."""

    def __init__(self, model: mujoco.MjModel):
        arm = [NOTHING] * model.ngeom
        for geom in range(model.ngeom):
            body = model.body(int(model.geom_bodyid[geom])).name
            for a, name in enumerate(ARMS):
                if body.startswith(f"{name}/"):
                    arm[geom] = a
        # The last entry answers for geom -1, the cloth's side of a contact.
        self._arm = np.array([*arm, NOTHING])
        self._pads = [
            [model.geom(f"{name}/{finger}_pad").id for finger in ("left", "right")] for name in ARMS
        ]

    def read(
        self, data: mujoco.MjData, points: NDArray[np.float64], jaws: NDArray[np.float64]
    ) -> Touch:
        """Contacts of the last physics step.

        Args:
            data: The scene.
            points: Mass points (k, 3) [m].
            jaws: Openings (2,) [fraction].
        """
        contact = data.contact
        geoms, flexes = contact.geom, contact.flex
        rows = np.flatnonzero((flexes.max(axis=1, initial=NOTHING) >= 0) & (geoms.max(axis=1) >= 0))
        solid = geoms[rows].max(axis=1)
        arms = self._arm[solid]
        on_arm = arms >= 0
        if not on_arm.any():
            return NO_TOUCH
        rows, solid, arms = rows[on_arm], solid[on_arm], arms[on_arm]
        normals, places = contact.frame[rows, :3], contact.pos[rows]
        address = contact.efc_address[rows]
        force = np.where(address >= 0, data.efc_force[np.maximum(address, 0)], 0.0)
        held, squeeze = [NOTHING, NOTHING], [0.0, 0.0]
        for a, pads in enumerate(self._pads):
            axis = data.geom_xmat[pads[0]].reshape(3, 3)[:, 1]
            along = np.abs(normals @ axis)
            gripping = along > ALONG_JAW
            loads = [float((force * along)[gripping & (solid == pad)].sum()) for pad in pads]
            squeeze[a] = min(loads)
            if squeeze[a] > SQUEEZE and jaws[a] < GRIP_JAW:
                pinch = places[gripping & np.isin(solid, pads)].mean(axis=0)
                held[a] = int(((points - pinch) ** 2).sum(axis=1).argmin())
        touched = tuple(bool((arms == a).any()) for a in range(2))
        return Touch((held[0], held[1]), (touched[0], touched[1]), (squeeze[0], squeeze[1]))
