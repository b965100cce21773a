"""What events act with: an obstacle, wind on the cloth, oil on the pads; all of it passes."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC
from envs.towel_folding.cloth import NAME
from xr0_sim.conventions import ARMS

OBSTACLE_HALF_SIZE = (0.03, 0.03, 0.05)
"""[m]"""
OBSTACLE_HOME = (0.0, 0.0, -0.5)
"""Where the obstacle waits, out of sight under the table [m]."""
LIFT = 0.004
"""Height of its foot above the table, where nothing is in the way [m]."""
OBSTACLE_LIFTS = (LIFT, 0.008, 0.012, 0.016, 0.02, 0.03)
"""Heights of its foot that are tried where cloth lies [m]."""
SPOT = (-0.16, 0.0)
"""Staging spot, x and y [m]."""
SPOT_HALF_SIZE = 0.08
OILY = 0.02
"""Sliding friction of an oiled pad."""


def add_props(spec: mujoco.MjSpec, spot: bool) -> None:
    """Adds the hidden obstacle and, if asked for, the drawn staging spot."""
    body = spec.worldbody.add_body(name="obstacle", mocap=True, pos=list(OBSTACLE_HOME))
    body.add_geom(
        name="obstacle",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=list(OBSTACLE_HALF_SIZE),
        rgba=[0.25, 0.45, 0.30, 1.0],
        contype=COLLIDE_STATIC,
        conaffinity=COLLIDE_ARM | COLLIDE_OBJECT,
        friction=[0.5, 0.01, 0.0001],
        group=1,
    )
    if spot:
        spec.worldbody.add_geom(
            name="spot",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[SPOT_HALF_SIZE, SPOT_HALF_SIZE, 0.0002],
            pos=[*SPOT, 0.0],
            rgba=[0.20, 0.45, 0.75, 1.0],
            contype=0,
            conaffinity=0,
            group=1,
        )


class Props:
    """Timed effects of one compiled scene; each ends at the start of its last tick."""

    spot = np.array(SPOT)

    def __init__(self, model: mujoco.MjModel):
        first = model.body(f"{NAME}_0").id
        self.towel = slice(first, model.nbody)
        self.obstacle = model.body("obstacle").id
        self._mocap = int(model.body("obstacle").mocapid[0])
        self._pads = [
            [model.geom(f"{arm}/{finger}_pad").id for finger in ("left", "right")] for arm in ARMS
        ]
        self._until: dict[str, int] = {}

    def blow(self, data: mujoco.MjData, force: NDArray[np.float64], until: int) -> None:
        """Spreads `force` (3,) [N] over the towel."""
        rows = data.xfrc_applied[self.towel]
        rows[:, :3] = force / len(rows)
        self._until["wind"] = until

    def stand(self, data: mujoco.MjData, pos: NDArray[np.float64], lift: float) -> None:
        """Puts the obstacle at `pos` (2,) [m], `lift` [m] above the table."""
        data.mocap_pos[self._mocap] = [*pos, OBSTACLE_HALF_SIZE[2] + lift]

    def put_obstacle(
        self, data: mujoco.MjData, pos: NDArray[np.float64], until: int, lift: float = LIFT
    ) -> None:
        """Stands the obstacle at `pos` (2,) [m], `lift` [m] above the table, for a while."""
        self.stand(data, pos, lift)
        self._until["obstacle"] = until

    def obstructed(self, data: mujoco.MjData) -> bool:
        """Whether the obstacle stands on the table."""
        return bool(data.mocap_pos[self._mocap, 2] > 0)

    def oil(self, model: mujoco.MjModel, arm: int, until: int) -> None:
        """Makes the pads of one hand slippery."""
        model.geom_friction[self._pads[arm], 0] = OILY
        self._until[f"oil{arm}"] = until

    def oiled(self, arm: int) -> bool:
        """Whether the pads of a hand are slippery."""
        return f"oil{arm}" in self._until

    def tidy(
        self, model: mujoco.MjModel, data: mujoco.MjData, tick: int, friction: tuple[float, ...]
    ) -> None:
        """Ends what is over at `tick`; `friction` is that of clean pads."""
        for name in [name for name, until in self._until.items() if tick >= until]:
            del self._until[name]
            if name == "wind":
                data.xfrc_applied[self.towel] = 0.0
            elif name == "obstacle":
                data.mocap_pos[self._mocap] = OBSTACLE_HOME
            else:
                model.geom_friction[self._pads[int(name[3:])], 0] = friction[0]

    def snapshot(self) -> Any:
        """State outside the physics and the model."""
        return dict(self._until)

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self._until = dict(state)
