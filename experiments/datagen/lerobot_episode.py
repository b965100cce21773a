"""An episode of a run as frames of a LeRobotDataset: played again, and drawn tick by tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.datagen.lerobot_films import appearing, films
from experiments.runner.replay import Replay
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.tables import TASK, store_episode
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable
from xr0_sim.types import RobotState

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv


def export_episode(
    env: DualArmEnv,
    seed: int,
    events: Sequence[Event],
    table: TickTable,
    facts: Mapping[str, Any],
    folder: Path,
) -> None:
    """Plays an episode again and stores it; ``folder`` appears when it is complete.

    Args:
        env: Environment of the episode.
        seed: Its seed.
        events: Its events.
        table: Its tick log.
        facts: Columns of the episodes' table, without ``success``.
        folder: Folder to make, see `xr0_sim.data.lerobot.tables`.

    Raises:
        DatasetError: What happened is not what the log says.
        StorageError: There is no room.
    """
    with appearing(folder) as partial:
        replay = Replay(env, seed, events, table)
        robots, instructions = [], []
        with films(partial, env.image_size, folder) as filmed:
            for _ in replay.ticks():
                seen = env.observe(images=True)
                robots.append(seen.robot)
                instructions.append(seen.instruction)
                filmed.write([seen.images[camera] for camera in CAMERAS])
        columns = frame_columns(table, robots, replay.success, instructions)
        facts = {**facts, "success": bool(replay.success[-1])}
        store_episode(partial, facts, columns, layout.run_columns(), filmed.shades)


def state_vector(robot: RobotState) -> NDArray[np.float32]:
    """(14,) joints [rad] and jaw of the left arm, then of the right: the order of an action."""
    return np.concatenate([robot.joint_pos, robot.jaw[:, None]], axis=1).ravel().astype(np.float32)


def frame_columns(
    table: TickTable,
    robots: Sequence[RobotState],
    success: Sequence[bool],
    instructions: Sequence[str],
) -> dict[str, NDArray]:
    """The columns of an episode that do not depend on others.

    Args:
        table: Its tick log, K ticks.
        robots: K entries, proprioception at the start of each tick.
        success: K entries, at the end of each tick.
        instructions: K entries, in force at the start of each tick.
    """
    ticks = np.arange(len(table))
    logged = {name: table[layout.LOG_NAMES.get(name, name)] for name in layout.LOG_COLUMNS}
    return {
        layout.STATE: np.stack([state_vector(robot) for robot in robots]),
        layout.ACTION: table["action"],
        layout.JOINT_VEL: np.stack([robot.joint_vel.ravel() for robot in robots]),
        layout.COMMAND: np.stack([robot.command for robot in robots]),
        "next.reward": table["reward"],
        "next.done": ticks == len(ticks) - 1,
        "next.success": np.array(success),
        **logged,
        "timestamp": ticks / CONTROL_HZ,
        "frame_index": ticks,
        TASK: np.array(instructions, dtype=object),
    }
