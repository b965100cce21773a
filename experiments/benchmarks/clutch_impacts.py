"""Blows to a clutch: a fall, a finger that runs into it, a fast pull; how late does it open?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.benchmarks.clutch_rig import TIMESTEP_S, ClutchRig

LATE = 1.15
"""A clutch that carried more than this share of its limit before it opened, opened late."""
SIZES: tuple[tuple[int, int], ...] = ((2, 2), (2, 4))
"""Studs along x and y of two equal bricks, one on the other."""
DROPS_M = (0.02, 0.05, 0.10, 0.20)
DROP_TILTS_DEG = (0.0, 30.0, 60.0)
"""Attitudes of the falling pair; flat falls press it together."""
SPEEDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Speeds of a finger, and of the hand that pulls [m/s]."""
FINGER_KG = 0.5
"""What moves with a finger: hand and part of the forearm. Chosen."""
GRIP_STIFFNESS = 2000.0
"""Of the spring through which a hand pulls [N/m]: pads and servo. Chosen."""
LONGEST_S = 0.5

Kind = Literal["drop", "blow", "pull"]


@dataclass(frozen=True)
class Impact:
    """One clutch that was struck.

    Attributes:
        kind: Kind of load.
        size: Studs along x and y.
        strength: Height [m] or speed [m/s].
        tilt_deg: Attitude of a falling pair [°].
        opened: Whether the clutch opened.
        peak: Highest load before it opened, or at all [share of the limit].
    """

    kind: Kind
    size: tuple[int, int]
    strength: float
    tilt_deg: float
    opened: bool
    peak: float

    @property
    def late(self) -> bool:
        """Whether it opened late, or should have opened and did not."""
        return self.peak > LATE

    def row(self) -> dict[str, Any]:
        """Table row."""
        unit = "m" if self.kind == "drop" else "m/s"
        tilt = f", {self.tilt_deg:.0f}°" if self.kind == "drop" else ""
        return {
            "impact": f"{self.kind} {self.strength:g} {unit}{tilt}",
            "bricks": f"{self.size[0]}x{self.size[1]}",
            "opened": "yes" if self.opened else "no",
            "load / limit": self.peak,
        }


def strike_all(world: str) -> list[Impact]:
    """Every impact on every size."""
    return [
        *(drop(size, h, tilt, world) for size in SIZES for h in DROPS_M for tilt in DROP_TILTS_DEG),
        *(blow(size, speed, world) for size in SIZES for speed in SPEEDS),
        *(pull(size, speed, world) for size in SIZES for speed in SPEEDS),
    ]


def drop(size: tuple[int, int], height_m: float, tilt_deg: float, world: str) -> Impact:
    """Lets a pair fall on the table."""
    import mujoco

    rig = ClutchRig(size, world)
    half = np.radians(tilt_deg) / 2
    turn = np.array([np.cos(half), np.sin(half), 0.0, 0.0])
    lowest = 0.0
    for brick in range(2):
        place = rig.model.joint(f"brick{brick}").qposadr[0]
        mujoco.mju_rotVecQuat(
            rig.data.qpos[place : place + 3], rig.data.qpos[place : place + 3].copy(), turn
        )
        rig.data.qpos[place + 3 : place + 7] = turn
        corners = rig.model.geom(f"brick{brick}").size
        reach = abs(np.sin(2 * half)) * corners[1] + abs(np.cos(2 * half)) * corners[2]
        lowest = min(lowest, rig.data.qpos[place + 2] - reach)
    for brick in range(2):
        rig.data.qpos[rig.model.joint(f"brick{brick}").qposadr[0] + 2] += height_m - lowest
    return _struck(rig, "drop", size, height_m, tilt_deg)


def blow(size: tuple[int, int], speed: float, world: str) -> Impact:
    """Runs a finger sideways into the upper brick of a pair that stands on the table."""
    from envs.block_dismantling.bricks import HEIGHT, PITCH
    from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT

    def add_finger(spec: Any) -> None:
        import mujoco

        middle = size[1] * PITCH / 2
        body = spec.worldbody.add_body(name="finger", pos=[-0.02, middle, 1.5 * HEIGHT])
        body.add_joint(name="finger", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0])
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.003, 0.006, 0.006],
            mass=FINGER_KG,
            contype=COLLIDE_ARM,
            conaffinity=COLLIDE_OBJECT,
            friction=[1.2, 0.02, 0.0001],
            solref=[0.005, 1],
            solimp=[0.95, 0.99, 0.001, 0.5, 2],
        )

    rig = ClutchRig(size, world, edit=add_finger)
    rig.data.qvel[rig.model.joint("finger").dofadr[0]] = speed
    return _struck(rig, "blow", size, speed, 0.0)


def pull(size: tuple[int, int], speed: float, world: str) -> Impact:
    """Pulls the upper brick straight up through a spring; the lower one is held."""

    def hold(spec: Any) -> None:
        spec.delete(spec.joint("brick0"))
        spec.option.gravity = [0.0, 0.0, 0.0]

    rig = ClutchRig(size, world, (0.0, 0.0, 0.3), hold)
    upper = rig.body(1)
    start = float(rig.data.xpos[upper, 2])
    for step in range(round(LONGEST_S / TIMESTEP_S)):
        stretch = start + speed * step * TIMESTEP_S - float(rig.data.xpos[upper, 2])
        rig.data.xfrc_applied[upper, 2] = GRIP_STIFFNESS * stretch
        if rig.step():
            break
    return Impact("pull", size, speed, 0.0, rig.opened, rig.peak)


def _struck(
    rig: ClutchRig, kind: Kind, size: tuple[int, int], strength: float, tilt_deg: float
) -> Impact:
    """Plays a scene until the clutch opens or all is over."""
    for _ in range(round(LONGEST_S / TIMESTEP_S)):
        if rig.step():
            break
    return Impact(kind, size, strength, tilt_deg, rig.opened, rig.peak)
