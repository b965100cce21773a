"""Whether things can stand where an event wants to put them, tried out on a copy of the scene."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import mujoco

OVERLAP_LIMIT = 3e-4
"""Deepest overlap of a placed body with another that passes [m]; chosen: resting bodies and
squeezed pads overlap by as much, their contacts being soft."""

TABLE = 0
"""Id of the body that the table belongs to."""


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

    def overlap(
        self, bodies: Collection[int], flex: bool = False, but: Collection[int] = ()
    ) -> float:
        """How deep placed bodies reach into other things [m].

        Args:
            bodies: Ids of the placed bodies; among each other they do not count.
            flex: Whether cloth was placed, too.
            but: Ids of bodies that do not count.
        """
        model, data = self._model, self.data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_flex(model, data)
        mujoco.mj_collision(model, data)
        return max(_depths(model, data, bodies, flex, but), default=0.0)


def _depths(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    bodies: Collection[int],
    flex: bool,
    but: Collection[int],
) -> Iterator[float]:
    """Depths of the contacts between a placed body, or cloth, and another one [m]."""
    contact, owner = data.contact, model.geom_bodyid
    pairs: Iterable[list[int]] = contact.geom.tolist()
    for pair, distance in zip(pairs, contact.dist.tolist(), strict=True):
        one, other = (-1 if geom < 0 else int(owner[geom]) for geom in pair)
        placed = [flex if body < 0 else body in bodies for body in (one, other)]
        if placed[0] != placed[1] and distance < 0 and not {one, other} & set(but):
            yield -distance
