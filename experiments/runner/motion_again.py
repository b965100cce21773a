"""What moved in an episode: its recorded actions played again, and every shape's pose kept.

Neither weights nor pictures are needed, so this takes seconds, and it stands for the episode only
if the robot goes where the log says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import DatasetError
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

SHOWN_GROUPS = 3
"""Geometry groups below this one are drawn, as MuJoCo's renderer does by default."""
KINDS = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
}
SAME_RAD = 1e-9
"""Joints that differ by more from the log belong to another episode; chosen."""


@dataclass(frozen=True)
class Shape:
    """One piece of geometry.

    Attributes:
        body: Index of its body in `Motion.poses`.
        kind: One of `KINDS`.
        size: MuJoCo's three sizes [m].
        pos: (3,) place in its body [m].
        quat: (4,) turn in its body, w first.
        rgba: (4,) colour, 0..1.
    """

    body: int
    kind: str
    size: tuple[float, ...]
    pos: tuple[float, ...]
    quat: tuple[float, ...]
    rgba: tuple[float, ...]


@dataclass(frozen=True)
class Motion:
    """An episode as shapes that move.

    Attributes:
        shapes: What is drawn.
        poses: (T + 1, bodies, 7) position [m] and quaternion (w first) at every tick's start and
            at the end.
        cloth: (T + 1, points, 3) mass points of a cloth [m]; no points without one.
        triangles: (n, 3) its triangles.
    """

    shapes: Sequence[Shape]
    poses: NDArray[np.float32]
    cloth: NDArray[np.float32]
    triangles: NDArray[np.int32]


def motion_again(env: DualArmEnv, seed: int, events: Sequence[Event], table: TickTable) -> Motion:
    """Plays a log's actions again.

    Args:
        env: Environment of the episode.
        seed: Episode seed.
        events: Events of the episode; none for its twin.
        table: Its tick log.

    Raises:
        DatasetError: The robot moved otherwise than the log says.
    """
    env.reset_scene(seed, {"events": list(events)})
    model, data = env.model, env.data
    shown = _shown(model)
    bodies = sorted({int(model.geom_bodyid[geom]) for geom in shown})
    place = {body: number for number, body in enumerate(bodies)}
    shapes = [_shape(model, geom, place) for geom in shown]
    poses, cloth = [], []

    def keep() -> None:
        poses.append(np.hstack([data.xpos[bodies], data.xquat[bodies]]).astype(np.float32))
        cloth.append(data.flexvert_xpos.reshape(-1, 3).astype(np.float32))

    for row, action in enumerate(table["action"]):
        told, found = table["joint_pos"][row], env.robot_state().joint_pos.ravel()
        if np.abs(told - found).max() > SAME_RAD:
            raise DatasetError(
                f"seed {seed}, tick {row}: expected the joints of the tick log, got others; use "
                "the versions that the run's card names"
            )
        keep()
        env.advance(action)
    keep()
    triangles = np.zeros((0, 3), np.int32)
    if model.nflex:
        triangles = model.flex_elem.reshape(-1, 3).astype(np.int32)
    return Motion(shapes, np.stack(poses), np.stack(cloth), triangles)


def _shown(model: mujoco.MjModel) -> list[int]:
    return [
        geom
        for geom in range(model.ngeom)
        if model.geom_group[geom] < SHOWN_GROUPS
        and int(model.geom_type[geom]) in KINDS
        and _colour(model, geom)[3] > 0
    ]


def _colour(model: mujoco.MjModel, geom: int) -> Any:
    material = model.geom_matid[geom]
    own = model.geom_rgba[geom]
    plain = bool((own == (0.5, 0.5, 0.5, 1.0)).all())  # MuJoCo's default: the material decides
    return model.mat_rgba[material] if material >= 0 and plain else own


def _shape(model: mujoco.MjModel, geom: int, place: dict[int, int]) -> Shape:
    return Shape(
        place[int(model.geom_bodyid[geom])],
        KINDS[int(model.geom_type[geom])],
        tuple(model.geom_size[geom].tolist()),
        tuple(model.geom_pos[geom].tolist()),
        tuple(model.geom_quat[geom].tolist()),
        tuple(_colour(model, geom).tolist()),
    )
