"""The towel: a square cloth of mass points, and its contacts.

Cloth on cloth is not the engine's flex self-collision, which costs twice as much: contact spheres
sit on every second mass point of every second row, and of the rows beside creases (on every one of
a towel that starts in a heap), and meet the triangles of the same cloth. The flex itself is never
drawn; `envs.towel_folding.skins` are.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC
from envs.towel_folding.material import SOFT, ClothMaterial, Impedance
from xr0_sim.conventions import ARMS
from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields

SIDE = 0.30
"""Side of the towel [m]."""
MASS = 0.050
"""[kg]"""
RADIUS = 0.003
"""Half the contact thickness [m]; a finger tip that is pressed through the middle stays caught."""
LAYER_RADIUS = 0.002
"""Radius of the spheres that keep two layers apart [m]."""
LAYER_DISTANCE = RADIUS + LAYER_RADIUS
"""Distance of the middle planes of two layers that touch [m]."""
POISSON, STIFF_DAMPING = 0.2, 2e-3
"""Elasticity besides that of the material [1], [s]."""
CLOTH_FRICTION = 0.8
"""Cloth on cloth."""
TABLE_FRICTION = 0.4
"""Cotton on a lacquered table: a finger that presses on the cloth takes it along."""
AIR_DRAG_S = 0.5
"""Time in which the air takes the speed of a free mass point down to 1/e [s]."""
GRIDS = (9, 13, 17)
"""Mass points along a side: fast, default, fine."""
COLLIDE_LAYER = 8
"""Collision bit of the spheres that keep two layers of cloth apart."""
COLLIDE_TABLE = 16
"""Collision bit of the table and the floor, where the towel meets them with its mass points."""
TABLE_IMPEDANCE = (0.95, 0.98, 0.002)
"""Of one mass point on the table; chosen. Harder ones do not let the solver converge on a towel at
rest (0.991 at depth: 7 iterations and more, 0.98: 3), and with 0.9995 nothing sinks in, but a hand
that presses cloth on the table does it with more force than the folds bear."""
REST_ITERATIONS = 100
"""Least limit of the solver's iterations for a towel that rests on its mass points: with 50 some
towels never come to rest."""
ELASTIC_BOTH = 3
"""Flex elasticity in bending and stretching."""
NAME = "towel"

LINER_HALF_SIZE, LINER_POS = (0.018, 0.0028, 0.006), (0.048, 0.0032)
"""Liner of a finger's inner side, in the finger frame: half extents and x, y of its middle [m]."""
PAD_ROLLING = (0.02, 0.0001)
"""Torsional and rolling friction of a pad [m]; its sliding friction is the material's."""
FINGER_FRICTION = (0.2, 0.005, 0.0001)
TIP_FRICTION, TIP_SOLREF = (0.2, 0.2, 0.005, 0.0001, 0.0001), (0.008, 1.0)
"""Fingers on the table: textile-faced pads grip cloth and slide on lacquer, so a hand that presses
down a few millimetres too far can still close."""
JAW_FORCE = 8.0
"""Of the soft jaw for cloth [N]: two layers are pinched with about 2 N."""


@dataclass(frozen=True)
class ClothConfig(CheckedFields):
    """How finely the towel is resolved: mass points along a side."""

    grid: int = 13

    def __post_init__(self) -> None:
        """Checks the grid."""
        if self.grid not in GRIDS:
            raise ConfigError(f"grid: expected one of {GRIDS}, got {self.grid!r}")


@functools.lru_cache(maxsize=4)
def rest_grid(grid: int) -> NDArray[np.float64]:
    """Mass points of the flat towel, (grid², 2) [m], its middle at the origin; read-only.

    Point ``i·grid + j`` has the i-th smallest x and the j-th smallest y.
    """
    line = np.linspace(-SIDE / 2, SIDE / 2, grid)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    points.setflags(write=False)
    return points


def triangles(grid: int) -> NDArray[np.int64]:
    """Faces of the towel, (2·(grid - 1)², 3), counter-clockwise seen from the printed side."""
    corner = (np.arange(grid - 1)[:, None] * grid + np.arange(grid - 1)).ravel()
    first = np.stack([corner, corner + grid, corner + grid + 1], axis=1)
    second = np.stack([corner, corner + grid + 1, corner + 1], axis=1)
    return np.concatenate([first, second])


@functools.lru_cache(maxsize=4)
def mesh_edges(grid: int) -> NDArray[np.int64]:
    """Sides of the faces, every one once, (k, 2)."""
    faces = triangles(grid)
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(sides, axis=1), axis=0)


def add_towel(
    spec: mujoco.MjSpec,
    config: ClothConfig,
    crumpled: bool = False,
    material: ClothMaterial = SOFT,
    rests_on: Literal["faces", "points"] = "faces",
) -> None:
    """Adds the towel, flat at the origin of the table, to a scene.

    Args:
        spec: The scene.
        config: How finely it is resolved.
        crumpled: Whether it will lie in a heap, where a corner falls through fewer spheres.
        material: What it is made of.
        rests_on: What of it meets the table: the triangles, each with its three corners, or every
            mass point once.
    """
    grid = config.grid
    spec.memory = 200 * 2**20  # folded cloth overflows the default arena
    flex = spec.worldbody.make_flex(
        NAME,
        type="grid",
        dim=2,
        count=[grid, grid, 1],
        spacing=[SIDE / (grid - 1)] * 3,
        radius=RADIUS,
        mass=MASS,
        pos=[0.0, 0.0, RADIUS],
        elastic2d=ELASTIC_BOTH,
    )
    flex.young, flex.poisson = material.young, POISSON
    flex.thickness, flex.damping = material.thickness, STIFF_DAMPING
    flex.stressyield = [0.0, material.bend_yield]
    flex.selfcollide = mujoco.mjtFlexSelf.mjFLEXSELF_NONE
    flex.contype = COLLIDE_OBJECT
    flex.conaffinity = COLLIDE_ARM | COLLIDE_STATIC | COLLIDE_LAYER
    flex.condim = 3
    flex.friction = [TABLE_FRICTION, 0.005, 0.0001]
    spec.geom("table").friction = [TABLE_FRICTION, 0.005, 0.0001]
    flex.solref = [0.01, 1.0]
    flex.solimp = [0.9, 0.95, 0.002, 0.5, 2.0]
    flex.group = 3
    everywhere = crumpled or material.spheres_everywhere
    for index in range(grid**2):
        row, column = divmod(index, grid)
        if everywhere or _has_sphere(row, column, grid):
            spec.body(f"{NAME}_{index}").add_geom(
                type=mujoco.mjtGeom.mjGEOM_SPHERE,
                size=[LAYER_RADIUS, 0, 0],
                contype=COLLIDE_LAYER,
                conaffinity=0,
                condim=3,
                friction=[CLOTH_FRICTION, 0.005, 0.0001],
                mass=0,
                group=3,
            )
    if rests_on == "points":
        _rest_on_points(spec, flex, grid, material.touch or TABLE_IMPEDANCE)
    _harden(spec, flex, material)


def _rest_on_points(spec: mujoco.MjSpec, flex: mujoco.MjsFlex, grid: int, touch: Impedance) -> None:
    """Lets mass points meet the table instead of triangles; the tables' bits tell them apart."""
    flex.contype = 0
    flex.conaffinity = COLLIDE_ARM | COLLIDE_OBJECT | COLLIDE_STATIC | COLLIDE_LAYER
    for name in ("table", "floor"):
        ground = spec.geom(name)
        if ground is not None:
            ground.contype = COLLIDE_TABLE
    for index in range(grid**2):
        spec.body(f"{NAME}_{index}").add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[RADIUS, 0, 0],
            contype=0,
            conaffinity=COLLIDE_TABLE,
            priority=1,
            condim=3,
            friction=list(flex.friction),
            solref=list(flex.solref),
            solimp=_solimp(touch),
            mass=0,
            group=3,
        )


def _harden(spec: mujoco.MjSpec, flex: mujoco.MjsFlex, material: ClothMaterial) -> None:
    """Gives contacts the impedances of a material; the higher priority of a pair decides."""
    if material.touch is not None:
        flex.priority, flex.solimp = 1, _solimp(material.touch)
    for geom in spec.geoms:
        if material.layers is not None and geom.contype == COLLIDE_LAYER:
            # Friction between so many coinciding points keeps the solver from converging.
            geom.priority, geom.condim, geom.solimp = 2, 1, _solimp(material.layers)
        if material.fingers is not None and "finger" in geom.parent.name:
            geom.priority, geom.solimp = 2, _solimp(material.fingers)


def _solimp(impedance: Impedance) -> list[float]:
    return [*impedance, 0.5, 2.0]


def _has_sphere(row: int, column: int, grid: int) -> bool:
    """Every second point of every second row, and of the rows beside the creases of a fold."""
    beside = (grid - 1) // 2 - 1
    if row == beside or column == beside:
        return (row + column) % 2 == 0
    return row % 2 == column % 2 == 0


def towel_dofs(model: mujoco.MjModel, grid: int) -> NDArray[np.int64]:
    """Degrees of freedom of the mass points, (grid², 3): world x, y, z."""
    first = int(model.body(f"{NAME}_0").dofadr[0])
    return first + np.arange(3 * grid**2).reshape(-1, 3)


def add_air_drag(model: mujoco.MjModel, dofs: NDArray[np.int64]) -> None:
    """Lets the air slow the towel down; the compiler takes no damping on mass points."""
    model.dof_damping[dofs] = MASS / len(dofs) / AIR_DRAG_S


def pad_friction(material: ClothMaterial) -> tuple[float, float, float]:
    """Sliding, torsional and rolling friction of a pad on a material [1], [m], [m]."""
    return (material.pad_friction, *PAD_ROLLING)


def soften_hands(spec: mujoco.MjSpec, material: ClothMaterial = SOFT) -> None:
    """Makes both hands fit for cloth: smooth, slippery fingers and a gentle jaw.

    Cloth otherwise hangs on to the fingers when a hand lets go and leaves; the liners fill the step
    behind the pads, on which the crest of a pinched ridge rests.

    Args:
        spec: The scene, with the arms.
        material: What they pinch.
    """
    for arm in ARMS:
        for finger, side in (("left", 1.0), ("right", -1.0)):
            spec.body(f"{arm}/{finger}_finger").add_geom(
                name=f"{arm}/{finger}_liner",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=LINER_HALF_SIZE,
                pos=[LINER_POS[0], side * LINER_POS[1], 0.0],
                material=f"{arm}/metal",
                contype=COLLIDE_ARM,
                conaffinity=COLLIDE_ARM | COLLIDE_OBJECT | COLLIDE_STATIC,
                priority=1,
                friction=list(FINGER_FRICTION),
                mass=0,
                group=2,
            )
            back = spec.geom(f"{arm}/{finger}_finger_collision")
            back.priority, back.condim, back.friction = 1, 3, list(FINGER_FRICTION)
            spec.geom(f"{arm}/{finger}_pad").friction = list(pad_friction(material))
            for part in ("pad", "finger_collision", "liner"):
                spec.add_pair(
                    geomname1="table",
                    geomname2=f"{arm}/{finger}_{part}",
                    condim=3,
                    friction=list(TIP_FRICTION),
                    solref=list(TIP_SOLREF),
                )
        jaw = spec.actuator(f"{arm}/left_finger")
        jaw.gainprm[0] = material.jaw_kp
        jaw.biasprm[1], jaw.biasprm[2] = -material.jaw_kp, -material.jaw_kd
        jaw.forcerange = [-JAW_FORCE, JAW_FORCE]
