"""Who touches whom: one pass over MuJoCo's contact arrays per control tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco

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
        self._kind = [
            1 if b >= 0 else 2 * (a >= 0) for a, b in zip(self._arm, self._brick, strict=True)
        ]
        self._nothing = Touch((NO_BRICK, NO_BRICK), (False,) * n_bricks, 0.0)

    def read(self, data: mujoco.MjData) -> Touch:
        """Contacts of the last physics step.

        Plain numbers on purpose: right after the physics, every first use of an array operation
        costs more than the whole loop.
        """
        if not data.ncon:
            return self._nothing
        contact, kind = data.contact, self._kind
        pairs = [
            (row, first, second)
            for row, (first, second) in enumerate(contact.geom.tolist())
            if kind[first] + kind[second] == ARM_AND_BRICK
        ]
        if not pairs:
            return self._nothing
        touched = [False] * self.n_bricks
        # Normal force per pad and brick; pads 0, 1 are the left arm's, 2, 3 the right arm's.
        pads = [[0.0] * self.n_bricks for _ in range(2 * len(ARMS))]
        peak = 0.0
        places, forces = contact.efc_address, data.efc_force
        brick_of, pad_of = self._brick, self._pad
        for row, first, second in pairs:
            brick = brick_of[first]
            if brick < 0:
                brick, pad = brick_of[second], pad_of[first]
            else:
                pad = pad_of[second]
            touched[brick] = True
            place = int(places[row])
            if place < 0:  # near, but not in contact
                continue
            force = float(forces[place])
            if force > peak:
                peak = force
            if pad >= 0:
                pads[pad][brick] += force
        return Touch((_grip(pads[0], pads[1]), _grip(pads[2], pads[3])), touched, peak)

    def deepest(self, data: mujoco.MjData, bricks: Sequence[int]) -> float:
        """How far an arm reaches into one of these bricks [m]; 0 if none is touched."""
        depth = 0.0
        for contact in data.contact:
            pair = contact.geom.tolist()
            brick = max(self._brick[g] for g in pair)
            if brick in bricks and max(self._arm[g] for g in pair) >= 0:
                depth = max(depth, -float(contact.dist))
        return depth


def _grip(one: Sequence[float], other: Sequence[float]) -> int:
    """Brick squeezed hardest between two pads, from the force of each pad on each brick; or -1."""
    best, grip = 0.0, NO_BRICK
    for brick, (a, b) in enumerate(zip(one, other, strict=True)):
        squeeze = a if a < b else b
        if squeeze > best:
            best, grip = squeeze, brick
    return grip
