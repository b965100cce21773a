"""What moved in an episode: its recorded actions played again, and every shape's pose kept.

Neither weights nor pictures are needed, so this takes seconds; see `Replay` for what is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.runner.replay import Replay
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from envs.scene.shapes import Shape


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
        DatasetError: What happened is not what the log says.
    """
    from envs.scene.shapes import SceneShapes  # MuJoCo: not for those who only ask for help

    replay = Replay(env, seed, events, table)
    drawn = SceneShapes(env.model)
    poses, cloth = [], []
    for _ in replay.ticks():
        poses.append(drawn.poses(env.data))
        cloth.append(drawn.cloth(env.data))
    poses.append(drawn.poses(env.data))
    cloth.append(drawn.cloth(env.data))
    return Motion(drawn.shapes, np.stack(poses), np.stack(cloth), drawn.triangles)
