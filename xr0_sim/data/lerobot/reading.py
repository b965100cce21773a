"""A LeRobotDataset v3.0 of any origin, read without `lerobot`: tables by episode, films by frame.

`SetReader` checks everything that can be checked before an episode is read: version, rate, views,
action layout, tables, and that no film is short.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.film_frames import count_frames, frames_of
from xr0_sim.data.lerobot.tables import TASK, column_array
from xr0_sim.errors import ConfigError, DatasetError

UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What a damaged table raises; pyarrow's own errors are among them."""


class SetReader:
    """A set that this project's robot could have recorded.

    Args:
        root: Folder of the set.
        views: Camera of this project -> feature of the set.

    Attributes:
        root: Folder of the set.
        info: Its ``info.json``.
        provenance: What `layout.PROVENANCE` says; empty for a set of others.
        episodes: Rows of its table of episodes.

    Raises:
        ConfigError: A sound set of another robot, rate or version.
        DatasetError: A damaged set.
    """

    def __init__(self, root: Path, views: Mapping[str, str]) -> None:
        self.root, self._views = root, dict(views)
        try:
            self.info = json.loads((root / layout.INFO).read_text(encoding="utf-8"))
            version, rate = self.info["codebase_version"], self.info["fps"]
            self._features = {name: dict(e) for name, e in self.info["features"].items()}
        except UNREADABLE as error:
            raise ConfigError(
                f"{root}: expected a LeRobotDataset with a readable {layout.INFO}, got "
                f"{type(error).__name__}: {error}"
            ) from None
        if version != layout.VERSION:
            raise ConfigError(
                f"{root}: expected a LeRobotDataset {layout.VERSION}, got {version!r}; convert it "
                "with lerobot's own script"
            )
        if rate != CONTROL_HZ:
            raise ConfigError(
                f"{root}: expected {CONTROL_HZ} frames a second, got {rate!r}; record or resample "
                "it at the rate of the control ticks"
            )
        self._check_features()
        self.provenance = self._read_provenance()
        self.episodes = self._read_episodes()
        self._tasks = self._read_tasks()
        self._check_films()

    @property
    def columns(self) -> set[str]:
        """Names of the columns of its data files."""
        return {name for name, entry in self._features.items() if entry.get("dtype") != "video"}

    @property
    def image_size(self) -> int:
        """Side of its pictures [px]."""
        return int(self._features[next(iter(self._views.values()))]["shape"][1])

    def identity(self) -> str:
        """Eight digits that two different sets do not share by accident."""
        crc = zlib.crc32(json.dumps(self.info, sort_keys=True).encode())
        for row in self.episodes:
            crc = zlib.crc32(repr(sorted(row.items(), key=lambda item: item[0])).encode(), crc)
        for folder in ("data", "videos"):
            for path in sorted((self.root / folder).rglob("*.*")):
                crc = zlib.crc32(f"{path.name} {path.stat().st_size}".encode(), crc)
        return f"{crc:08x}"

    def table(self, episode: int) -> dict[str, NDArray]:
        """Columns of an episode, (K,) or (K, width), and ``task``, the instruction of each frame.

        Raises:
            DatasetError: Unreadable, of another length, or not finite.
        """
        import pyarrow.parquet as pq

        row = self.episodes[episode]
        path = self._placed(layout.DATA, "data", row)
        try:
            wanted = [("episode_index", "==", int(row["episode_index"]))]
            table = pq.read_table(path, filters=wanted, partitioning=None)
            found = {name: column_array(table[name]) for name in table.column_names}
            found[TASK] = np.array([self._tasks[int(k)] for k in found["task_index"]], dtype=object)
            if len(found[TASK]) != row["length"]:
                raise ValueError(f"{len(found[TASK])} frames instead of {row['length']}")
            for name in (layout.STATE, layout.ACTION):
                if found[name].shape != (row["length"], ENV_ACTION_DIM):
                    raise ValueError(f"{name} has shape {found[name].shape}")
                if not np.isfinite(found[name]).all():
                    raise ValueError(f"{name} is not finite")
        except UNREADABLE as error:
            raise self._damaged(path, f"episode {episode}", error) from None
        return found

    def pictures(
        self, episode: int, side: int, frames: Iterable[int]
    ) -> Iterator[NDArray[np.uint8]]:
        """(views, side, side, 3) of some frames of an episode, in rising order.

        Raises:
            DatasetError: A film ends before its last frame, or cannot be decoded.
        """
        row, wanted = self.episodes[episode], list(frames)
        streams = [
            frames_of(
                self._placed(layout.VIDEO, f"videos/{key}", row, key),
                round(float(row[f"videos/{key}/from_timestamp"]) * CONTROL_HZ),
                wanted,
                side,
                CONTROL_HZ,
            )
            for key in self._views.values()
        ]
        for views in zip(*streams, strict=True):
            yield np.stack(views)

    def _check_features(self) -> None:
        for name in (layout.STATE, layout.ACTION):
            entry = self._features.get(name)
            names = _flat_names(entry.get("names")) if entry else None
            if names != layout.motor_names():
                raise ConfigError(
                    f"{self.root}: expected {name} with the names {layout.motor_names()[0]} .. "
                    f"{layout.motor_names()[-1]} ({ENV_ACTION_DIM} absolute targets, left arm "
                    f"first), got {_shown(names, entry)}; this set is of another robot, or its "
                    f"{layout.INFO} does not name its motors"
                )
        for camera, key in self._views.items():
            entry = self._features.get(key, {})
            if entry.get("dtype") != "video":
                known = [n for n, e in self._features.items() if e.get("dtype") == "video"]
                raise ConfigError(
                    f"{self.root}: expected the film {key} as view {camera}, got "
                    f"{', '.join(known) or 'no films'}; name it with --views {camera}=NAME"
                )
            if not _square(entry.get("shape")):
                raise ConfigError(
                    f"{self.root}: expected square pictures in {key}, got {entry.get('shape')}"
                )

    def _read_provenance(self) -> dict[str, Any]:
        path = self.root / layout.PROVENANCE
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("not an object")
        except UNREADABLE as error:
            raise self._damaged(path, "provenance", error) from None
        return found

    def _read_episodes(self) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        folder = self.root / "meta/episodes"
        try:
            tables = [pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))]
            rows = [
                {name: value for name, value in row.items() if not name.startswith("stats/")}
                for table in tables
                for row in table.to_pylist()
            ]
            lengths = sum(int(row["length"]) for row in rows)
            told = (self.info["total_episodes"], self.info["total_frames"])
            if not rows or (len(rows), lengths) != told:
                found = f"{len(rows)} episodes with {lengths} frames"
                raise ValueError(f"{found} instead of {told[0]} with {told[1]}")
        except UNREADABLE as error:
            raise self._damaged(folder, "episodes", error) from None
        return rows

    def _read_tasks(self) -> dict[int, str]:
        import pandas as pd

        path = self.root / layout.TASKS
        try:
            frame = pd.read_parquet(path)
            return {int(k): str(text) for text, k in frame["task_index"].items()}
        except UNREADABLE as error:
            raise self._damaged(path, "tasks", error) from None

    def _check_films(self) -> None:
        """Every film has a frame for every row; packets are counted, nothing is decoded."""
        ends: dict[Path, int] = {}
        for row in self.episodes:
            for key in self._views.values():
                path = self._placed(layout.VIDEO, f"videos/{key}", row, key)
                begin = self._value(row, f"videos/{key}/from_timestamp")
                ends[path] = max(ends.get(path, 0), round(begin * CONTROL_HZ) + int(row["length"]))
            self._placed(layout.DATA, "data", row)
        for path, wanted in ends.items():
            found = count_frames(path)
            if found < wanted:
                short = ValueError(f"{found} frames instead of {wanted}")
                raise self._damaged(path, "film", short)

    def _placed(self, pattern: str, group: str, row: Mapping[str, Any], key: str = "") -> Path:
        numbers = {
            part: int(self._value(row, f"{group}/{part}")) for part in ("chunk_index", "file_index")
        }
        path = self.root / pattern.format(video_key=key, **numbers)
        if not path.is_file():
            raise self._damaged(path, "file", FileNotFoundError("it is not there"))
        return path

    def _value(self, row: Mapping[str, Any], name: str) -> float:
        value = row.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise self._damaged(self.root / "meta/episodes", name, ValueError(f"got {value!r}"))
        return value

    def _damaged(self, path: Path, what: str, error: Exception) -> DatasetError:
        return DatasetError(
            f"{path}: expected a complete LeRobotDataset, got {type(error).__name__} in {what}: "
            f"{error}; fetch or export the set again"
        )


def _flat_names(names: Any) -> list[str] | None:
    """Names of a feature, which lerobot keeps as a list or as ``{"motors": [...]}``."""
    if isinstance(names, Mapping):
        names = next(iter(names.values()), None)
    return [str(name) for name in names] if isinstance(names, list) else None


def _shown(names: list[str] | None, entry: Mapping[str, Any] | None) -> str:
    if names:
        return f"{names[0]} .. {names[-1]} ({len(names)})"
    return f"{entry.get('shape')} without names" if entry else "no such feature"


def _square(shape: Any) -> bool:
    """Whether pictures are square, with the colours last or first."""
    if not isinstance(shape, list) or len(shape) != 3:
        return False
    side = shape[1]
    return isinstance(side, int) and side > 0 and shape in ([side, side, 3], [3, side, side])
