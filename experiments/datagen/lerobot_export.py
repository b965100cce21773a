"""A run folder as a LeRobotDataset v3.0: episode by episode, continued when interrupted.

Episodes are kept beside the target, in ``.NAME.export``, until the last is there; then the set is
put together and appears by one rename.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.tasks import make_env, register_events
from experiments.datagen.lerobot_episode import export_episode
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row, log_path
from experiments.runner.folder_lock import FolderLock
from xr0_sim.atomic import write_json
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.tables import StoredEpisode, write_tables
from xr0_sim.errors import ConfigError, not_written
from xr0_sim.record.runcard import to_json
from xr0_sim.record.ticklog import read_ticklog
from xr0_sim.view.joined import join_films

SOURCE = "source.json"
PROVENANCE = "meta/xr0_sim.json"
"""Condition, versions and episodes that the set was made of; beside what the format knows."""
ROBOT = "xr0_sim_dual_arm"


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        folder: Run folder.
        card: Its run card.
        condition: Condition of its episodes.
        rows: Episodes to export, in order.
        image_size: Side of the pictures [px]; None for the world's.
    """

    folder: Path
    card: Mapping[str, Any]
    condition: Condition
    rows: Sequence[Row]
    image_size: int | None

    def told(self) -> dict[str, Any]:
        """Identity of the set, JSON values."""
        return {
            "format": f"LeRobotDataset {layout.VERSION}",
            "config": to_json(self.condition),
            "versions": self.card.get("versions"),
            "image_size": self.image_size,
            "episodes": [{"seed": row["seed"], "digest": row["digest"]} for row in self.rows],
        }


def export_run(source: Source, target: Path, say: Callable[[str], None]) -> None:
    """Writes the set.

    Args:
        source: What is exported.
        target: Folder of the set; must not exist.
        say: Called with a line for every episode.

    Raises:
        ConfigError: The target exists, or another process is writing it.
        DatasetError: An episode comes out otherwise than its tick log says.
    """
    if target.exists():
        raise ConfigError(f"--out {target}: expected a new name, got what exists; choose another")
    scratch = target.with_name(f".{target.name}.export")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with FolderLock(scratch):
            _start(scratch, source.told())
            side = _record(source, scratch, say)
            episodes = [StoredEpisode.load(_folder(scratch, row)) for row in source.rows]
            fresh = scratch / "set"
            shutil.rmtree(fresh, ignore_errors=True)
            _assemble(fresh, scratch, episodes, side)
            write_json(fresh / PROVENANCE, source.told())
            _sync(fresh)
            os.rename(fresh, target)
            shutil.rmtree(scratch)
    except OSError as error:
        raise not_written(target, error) from error


def _start(scratch: Path, told: Mapping[str, Any]) -> None:
    """Drops what an export of something else has left."""
    path = scratch / SOURCE
    try:
        left = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        left = None
    if left != json.loads(json.dumps(told)):
        for old in scratch.glob("episode-*"):
            shutil.rmtree(old)
        write_json(path, told)


def _record(source: Source, scratch: Path, say: Callable[[str], None]) -> int:
    """Stores what is missing; side of the pictures [px]."""
    condition = source.condition
    register_events(condition.env)
    env = make_env(condition.env, image_size=source.image_size, **condition.env_kwargs)
    try:
        for number, row in enumerate(source.rows, start=1):
            folder, seed = _folder(scratch, row), int(row["seed"])
            if not folder.is_dir():
                table = read_ticklog(log_path(source.folder, seed))
                facts = {"seed": seed, "outcome": row["outcome"], "digest": row["digest"]}
                export_episode(env, seed, condition.events, table, facts, folder)
            say(f"{number}/{len(source.rows)} seed {seed}: {row['outcome']}")
        return env.image_size
    finally:
        env.close()


def _folder(scratch: Path, row: Row) -> Path:
    return scratch / f"episode-{int(row['seed']):06d}"


def _assemble(fresh: Path, scratch: Path, episodes: Sequence[StoredEpisode], side: int) -> None:
    video_files: dict[str, list[int]] = {}
    for key in layout.video_keys():
        sizes = [episode.film(key).stat().st_size / 1e6 for episode in episodes]
        numbers = video_files[key] = layout.file_numbers(sizes, layout.VIDEO_FILE_MB)
        for file in dict.fromkeys(numbers):
            parts = [
                str(episode.film(key).relative_to(scratch))
                for episode, number in zip(episodes, numbers, strict=True)
                if number == file
            ]
            out = layout.path(fresh, layout.VIDEO, file, key)
            join_films(parts, scratch, out, CONTROL_HZ)
    write_tables(fresh, episodes, video_files, side, ROBOT)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
