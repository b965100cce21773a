"""Whether things can stand where an event wants to put them, tried out on a copy of the scene."""

from __future__ import annotations

from collections.abc import Collection

import mujoco

OVERLAP_LIMIT = 3e-4
"""Deepest overlap of a placed body with another that passes [m]; chosen: resting bodies and
squeezed pads overlap by as much, their contacts being soft."""

TABLE, CLOTH = 0, -1
"""Ids of the body that the table belongs to, and of cloth, which is no body."""


class Trial:
    """A copy of a scene in which placements are tried out.

    Args:
        model: The scene.
        data: Its state; unchanged by trials.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model, self._source = model, data
        self.data = mujoco.MjData(model)
        self.reset()

    def reset(self) -> None:
        """Goes back to the present state."""
        for name in ("qpos", "mocap_pos", "mocap_quat", "eq_active"):
            getattr(self.data, name)[:] = getattr(self._source, name)

    def depths(self) -> dict[tuple[int, int], float]:
        """How deep bodies reach into each other [m], by pairs of ids; cloth has id `CLOTH`."""
        model, data = self._model, self.data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_flex(model, data)
        mujoco.mj_collision(model, data)
        contact, owner = data.contact, model.geom_bodyid
        found: dict[tuple[int, int], float] = {}
        for pair, distance in zip(contact.geom.tolist(), contact.dist.tolist(), strict=True):
            one, other = sorted(CLOTH if geom < 0 else int(owner[geom]) for geom in pair)
            found[one, other] = max(found.get((one, other), 0.0), -distance)
        return found

    def overlap(self, bodies: Collection[int], but: Collection[int] = ()) -> float:
        """How deep placed bodies reach into other things [m].

        Args:
            bodies: Ids of the placed bodies; among each other they do not count.
            but: Ids of bodies that do not count either.
        """
        return max(
            (
                depth
                for pair, depth in self.depths().items()
                if (pair[0] in bodies) != (pair[1] in bodies) and not set(pair) & set(but)
            ),
            default=0.0,
        )
