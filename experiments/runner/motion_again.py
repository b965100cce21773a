"""What moved in an episode: its recorded actions played again, and every shape's pose kept.

Neither weights nor pictures are needed, so this takes seconds, and it stands for the episode only
if the robot goes where the log says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.scene.shapes import SceneShapes, Shape
from xr0_sim.errors import DatasetError
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

SAME_RAD = 1e-9
"""Joints that differ by more from the log belong to another episode; chosen."""


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
    drawn = SceneShapes(env.model)
    poses, cloth = [drawn.poses(env.data)], [drawn.cloth(env.data)]
    for row, action in enumerate(table["action"]):
        told, found = table["joint_pos"][row], env.robot_state().joint_pos.ravel()
        if np.abs(told - found).max() > SAME_RAD:
            raise DatasetError(
                f"seed {seed}, tick {row}: expected the joints of the tick log, got others; use "
                "the versions that the run's card names"
            )
        env.advance(action)
        poses.append(drawn.poses(env.data))
        cloth.append(drawn.cloth(env.data))
    return Motion(drawn.shapes, np.stack(poses), np.stack(cloth), drawn.triangles)
