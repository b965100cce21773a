"""An episode of a run as frames of a LeRobotDataset: played again, and drawn tick by tick."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.runner.replay import Replay
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.statistics import SHADES, shade_counts
from xr0_sim.data.lerobot.tables import TASK, store_episode
from xr0_sim.errors import not_written
from xr0_sim.perturb.events import Event
from xr0_sim.record.ticklog import TickTable
from xr0_sim.types import RobotState
from xr0_sim.view.encoder import Encoder

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

KEY_EVERY = 2
"""A key frame every second frame, as lerobot 0.6.1 encodes: its readers take single frames."""


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
        facts: `xr0_sim.data.lerobot.tables.EPISODE_FACTS`, without ``success``.
        folder: Folder to make, see `xr0_sim.data.lerobot.tables`.

    Raises:
        DatasetError: What happened is not what the log says.
        StorageError: There is no room.
    """
    with _appearing(folder) as partial:
        replay = Replay(env, seed, events, table)
        shades = np.zeros((len(CAMERAS), 3, SHADES), dtype=np.int64)
        states, instructions = [], []
        with _encoders(partial, env.image_size, folder) as encoders:
            for _ in replay.ticks():
                seen = env.observe(images=True)
                states.append(state_vector(seen.robot))
                instructions.append(seen.instruction)
                for place, (camera, encoder) in enumerate(zip(CAMERAS, encoders, strict=True)):
                    encoder.write(seen.images[camera])
                    shades[place] += shade_counts(seen.images[camera])
        columns = frame_columns(table, np.stack(states), replay.success, instructions)
        success = bool(replay.success[-1])
        store_episode(partial, {**facts, "success": success}, columns, shades)


def state_vector(robot: RobotState) -> NDArray[np.float32]:
    """(14,) joints [rad] and jaw of the left arm, then of the right: the order of an action."""
    return np.concatenate([robot.joint_pos, robot.jaw[:, None]], axis=1).ravel().astype(np.float32)


def frame_columns(
    table: TickTable,
    states: NDArray[np.float32],
    success: Sequence[bool],
    instructions: Sequence[str],
) -> dict[str, NDArray]:
    """The columns of an episode that do not depend on others.

    Args:
        table: Its tick log, K ticks.
        states: (K, 14) proprioception at the start of each tick.
        success: K entries, at the end of each tick.
        instructions: K entries, in force at the start of each tick.
    """
    ticks = np.arange(len(table))
    logged = {name: table[layout.LOG_NAMES.get(name, name)] for name in layout.EXTRA_COLUMNS}
    return {
        layout.STATE: states,
        layout.ACTION: table["action"],
        "next.reward": table["reward"],
        "next.done": ticks == len(ticks) - 1,
        "next.success": np.array(success),
        **logged,
        "timestamp": ticks / CONTROL_HZ,
        "frame_index": ticks,
        TASK: np.array(instructions, dtype=object),
    }


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Gives a neighbouring folder to fill, which gets its name on success and else goes."""
    partial = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            os.rename(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise not_written(folder, error) from error


@contextmanager
def _encoders(folder: Path, side: int, name: Path) -> Iterator[list[Encoder]]:
    """One encoder per camera; all have ended when the block has."""
    size = (side, side)
    encoders: list[Encoder] = []
    try:
        for key in layout.video_keys():
            film = folder / f"{key}.mp4"
            encoders.append(Encoder(film, size, CONTROL_HZ, name / film.name, KEY_EVERY))
        yield encoders
    except BaseException:
        for encoder in encoders:
            encoder.stop()
        raise
    for encoder in encoders:
        encoder.close()
