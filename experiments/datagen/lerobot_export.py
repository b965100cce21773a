"""A LeRobotDataset v3.0 from a run or a sample store: by episode, continued when interrupted.

Episodes are kept beside the target, in ``.NAME.export``, until the last is there; then the set is
put together and appears by one rename.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from experiments.runner.folder_lock import FolderLock
from xr0_sim.atomic import write_json
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.tables import StoredEpisode, write_tables
from xr0_sim.errors import ConfigError, not_written
from xr0_sim.view.joined import join_films

SOURCE = "source.json"
ROBOT = "xr0_sim_dual_arm"


class Source(Protocol):
    """What is exported."""

    @property
    def columns(self) -> layout.Columns:
        """Columns of the set."""
        ...

    @property
    def episodes(self) -> Sequence[str]:
        """Folder name of each episode, in order."""
        ...

    def told(self) -> dict[str, Any]:
        """Identity of the set, JSON values."""
        ...

    def record(self, scratch: Path, say: Callable[[str], None]) -> int:
        """Stores the episodes that are missing; returns the side of the pictures [px]."""
        ...


def export_set(source: Source, target: Path, say: Callable[[str], None]) -> None:
    """Writes the set.

    Args:
        source: What is exported.
        target: Folder of the set; must not exist.
        say: Called with a line for every episode.

    Raises:
        ConfigError: The target exists, or another process is writing it.
        DatasetError: An episode comes out otherwise than its tick log says, or is unreadable.
    """
    if target.exists():
        raise ConfigError(f"--out {target}: expected a new name, got what exists; choose another")
    told = {"format": f"LeRobotDataset {layout.VERSION}", **source.told()}
    scratch = target.with_name(f".{target.name}.export")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with FolderLock(scratch):
            _start(scratch, told)
            side = source.record(scratch, say)
            episodes = [StoredEpisode.load(scratch / name) for name in source.episodes]
            fresh = scratch / "set"
            shutil.rmtree(fresh, ignore_errors=True)
            video_files = _joined(fresh, scratch, episodes)
            write_tables(fresh, episodes, video_files, source.columns, side, ROBOT)
            write_json(fresh / layout.PROVENANCE, told)
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


def _joined(
    fresh: Path, scratch: Path, episodes: Sequence[StoredEpisode]
) -> dict[str, Sequence[int]]:
    """Joins the films; camera key -> number of the film that each episode is in."""
    video_files: dict[str, Sequence[int]] = {}
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
    return video_files


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
