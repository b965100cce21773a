"""How deep bodies sink into each other and how hard arms push, from every contact of a substep."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import NAME as TOWEL
from xr0_sim.conventions import ARMS

TABLE, BRICK, TRAY, FINGER, ARM, CLOTH, LAYER, OTHER = range(8)
"""Kinds of bodies; `LAYER` are the spheres that keep two layers of cloth apart."""
KINDS = ("table", "brick", "tray", "finger", "arm", "cloth", "layer", "other")
ARM_ARM, ARM_SELF = len(KINDS) ** 2, len(KINDS) ** 2 + 1
"""Codes of contacts between the two arms, and of one arm with itself."""


def pair_code(first: int, second: int) -> int:
    """Code of a pair of kinds, whichever comes first."""
    return min(first, second) * len(KINDS) + max(first, second)


PAIRS = {
    "brick_table": pair_code(BRICK, TABLE),
    "brick_brick": pair_code(BRICK, BRICK),
    "brick_tray": pair_code(BRICK, TRAY),
    "finger_brick": pair_code(FINGER, BRICK),
    "arm_brick": pair_code(ARM, BRICK),
    "finger_tray": pair_code(FINGER, TRAY),
    "arm_tray": pair_code(ARM, TRAY),
    "cloth_table": pair_code(CLOTH, TABLE),
    "finger_cloth": pair_code(FINGER, CLOTH),
    "arm_cloth": pair_code(ARM, CLOTH),
    "finger_table": pair_code(FINGER, TABLE),
    "arm_table": pair_code(ARM, TABLE),
    "arm_arm": ARM_ARM,
}
"""Pairs whose depth is told -> code."""


class ContactLog:
    """Running maxima over the contacts of an episode.

    Args:
        model: The compiled scene.
    """

    def __init__(self, model: mujoco.MjModel):
        kinds, arms = _kinds(model)
        # Index -1 stands for the cloth's side of a contact.
        self._kind = np.array([*kinds, CLOTH])
        self._arm = np.array([*arms, -1])
        self._depth = np.zeros(len(KINDS) ** 2 + 2)
        self._seen = np.zeros(len(self._depth), dtype=bool)
        present = {*kinds, CLOTH} if model.nflex else set(kinds)
        self._pairs = {
            name: code
            for name, code in PAIRS.items()
            if code == ARM_ARM or {*divmod(code, len(KINDS))} <= present
        }
        self._finger_table = 0.0
        self._arm_force = 0.0

    def read(self, data: mujoco.MjData) -> None:
        """Takes in the contacts of the last physics step."""
        if not data.ncon:
            return
        contact = data.contact
        geoms = contact.geom
        kinds, arms = self._kind[geoms], self._arm[geoms]
        codes = kinds.min(axis=1) * len(KINDS) + kinds.max(axis=1)
        both = (arms >= 0).all(axis=1)
        codes[both] = np.where(arms[both, 0] == arms[both, 1], ARM_SELF, ARM_ARM)
        np.maximum.at(self._depth, codes, -contact.dist)
        self._push(data, codes, arms)

    def _push(self, data: mujoco.MjData, codes: NDArray[np.int64], arms: NDArray[np.int64]) -> None:
        """Forces on the arms: of their fingers on the table, and the sum of all that touches."""
        contact = data.contact
        address = contact.efc_address
        rows = np.flatnonzero((arms >= 0).any(axis=1) & (address >= 0) & (codes != ARM_SELF))
        if not rows.size:
            return
        address, arms, codes = address[rows], arms[rows], codes[rows]
        force = data.efc_force
        local = np.zeros((len(rows), 3))
        local[:, 0] = force[address]
        # With elliptic cones the tangential forces follow the normal one.
        tangential = contact.dim[rows] >= 3
        for axis in (1, 2):
            local[tangential, axis] = force[address[tangential] + axis]
        world = np.einsum("ki,kij->kj", local, contact.frame[rows].reshape(-1, 3, 3))
        on_table = codes == PAIRS["finger_table"]
        for arm in range(len(ARMS)):
            # A contact frame points from the first body to the second, which is pushed along it.
            sign = (arms[:, 1] == arm).astype(float) - (arms[:, 0] == arm)
            total = float(np.linalg.norm(sign @ world))
            self._arm_force = max(self._arm_force, total)
            pressed = float(local[on_table & (sign != 0.0), 0].sum())
            self._finger_table = max(self._finger_table, pressed)

    def figures(self) -> dict[str, float]:
        """Deepest contact per pair [mm] and largest forces [N] so far."""
        depths = {
            f"depth_{name}_mm": 1e3 * float(self._depth[code]) for name, code in self._pairs.items()
        }
        return {
            **depths,
            "force_finger_table_n": self._finger_table,
            "force_arm_n": self._arm_force,
        }


def _kinds(model: mujoco.MjModel) -> tuple[list[int], list[int]]:
    """Kind of every geom, and the arm it belongs to or -1."""
    kinds, arms = [], []
    for geom in range(model.ngeom):
        body = model.body(int(model.geom_bodyid[geom])).name
        arm = next((a for a, name in enumerate(ARMS) if body.startswith(f"{name}/")), -1)
        arms.append(arm)
        if arm >= 0:
            kinds.append(FINGER if "finger" in body else ARM)
        elif body.startswith("brick"):
            kinds.append(BRICK)
        elif body.startswith("bin"):
            kinds.append(TRAY)
        elif body.startswith(f"{TOWEL}_"):
            kinds.append(LAYER)
        else:
            kinds.append(TABLE if model.geom(geom).name.startswith("table") else OTHER)
    return kinds, arms
