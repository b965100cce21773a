"""Grasp assist: a pinched mass point is tied to the hand that squeezes it, for those who want it.

Off by default; towels are then held by friction alone. A tie closes when both pads squeeze hard
enough and opens when the hand is told to open, when its pull exceeds what a hand could hold, or
while the pads are oiled.
"""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import NAME
from envs.towel_folding.contacts import NOTHING, Touch
from xr0_sim.conventions import ARMS

GRASPS = ("friction", "assist")
"""How a hand holds the towel."""
SQUEEZE_N = 0.3
"""Force of both pads at which a tie closes [N]."""
PULL_N = 4.0
"""Pull at which a tie tears [N]."""
OPEN_COMMAND = 0.05
"""Commanded opening above which a hand lets go."""
SOLREF, SOLIMP = (0.02, 1.0), (0.9, 0.95, 0.002, 0.5, 2.0)


def add_ties(spec: mujoco.MjSpec, count: int) -> None:
    """Adds one open tie per hand and mass point to a scene with `count` mass points."""
    for point in range(count):
        spec.body(f"{NAME}_{point}").add_site(name=f"{NAME}_{point}", group=4)
    for arm in ARMS:
        for point in range(count):
            tie = spec.add_equality(
                name=f"{arm}/tie_{point}",
                type=mujoco.mjtEq.mjEQ_CONNECT,
                objtype=mujoco.mjtObj.mjOBJ_SITE,
                name1=f"{arm}/tool",
                name2=f"{NAME}_{point}",
                active=False,
            )
            tie.solref, tie.solimp = list(SOLREF), list(SOLIMP)


class GraspAssist:
    """Opens and closes the ties of one compiled scene.

    Attributes:
        torn: Per hand, whether its tie tore since it was last told to open; it stays open then.
    """

    def __init__(self, model: mujoco.MjModel, count: int):
        first = [model.equality(f"{arm}/tie_0").id for arm in ARMS]
        self._ties = [np.arange(start, start + count) for start in first]
        self.torn = (False, False)

    def update(
        self,
        data: mujoco.MjData,
        touch: Touch,
        jaw_commands: NDArray[np.float64],
        oiled: tuple[bool, bool],
    ) -> Touch:
        """Closes and opens ties after a tick.

        Args:
            data: The scene.
            touch: What the hands pinch.
            jaw_commands: (2,) commanded openings [fraction].
            oiled: Hands whose pads are slippery.

        Returns:
            `touch` with tied mass points as held.
        """
        held, torn = list(touch.held), list(self.torn)
        for arm, ties in enumerate(self._ties):
            closed = np.flatnonzero(data.eq_active[ties])
            opens = bool(jaw_commands[arm] > OPEN_COMMAND or oiled[arm])
            if len(closed):
                torn[arm] = self._pull(data, ties[closed[0]]) > PULL_N
                if opens or torn[arm]:
                    data.eq_active[ties[closed[0]]] = 0
                else:
                    held[arm] = int(closed[0])
            torn[arm] &= not opens
            pinched = held[arm] != NOTHING and touch.squeeze[arm] > SQUEEZE_N
            if pinched and not len(closed) and not opens and not torn[arm]:
                data.eq_active[ties[held[arm]]] = 1
        self.torn = (torn[0], torn[1])
        return replace(touch, held=(held[0], held[1]))

    def untie(self, data: mujoco.MjData) -> None:
        """Opens every tie."""
        for ties in self._ties:
            data.eq_active[ties] = 0
        self.torn = (False, False)

    @staticmethod
    def _pull(data: mujoco.MjData, tie: int) -> float:
        """Force in a closed tie [N]."""
        is_tie = data.efc_type == mujoco.mjtConstraint.mjCNSTR_EQUALITY.value
        return float(np.linalg.norm(data.efc_force[is_tie & (data.efc_id == tie)]))
