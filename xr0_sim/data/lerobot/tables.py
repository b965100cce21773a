"""The tables of a LeRobotDataset: data, tasks, episodes, statistics and ``info.json``.

An episode waits in a folder of its own until the set is put together::

    EPISODE/columns.parquet   the columns of the set without the numbers that depend on other
                              episodes, and ``task``, the instruction in force
    EPISODE/shades.npy        (3, 3, 256) how often each shade occurs, by camera and colour
    EPISODE/facts.json        columns that the episodes' table has beside those of the format
    EPISODE/CAMERA KEY.mp4    its film, one per camera
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.atomic import replacing, write_json
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.statistics import flat, number_stats, picture_stats
from xr0_sim.errors import DatasetError

COLUMNS_FILE = "columns.parquet"
SHADES_FILE = "shades.npy"
FACTS_FILE = "facts.json"
TASK = "task"
LATER = ("episode_index", "index", "task_index")
"""Columns that depend on the other episodes."""


@dataclass(frozen=True)
class StoredEpisode:
    """An episode that waits for its set.

    Attributes:
        folder: Its folder.
        facts: Column of the episodes' table -> value.
        columns: Name -> (K,) or (K, width).
        shades: (3, 3, 256).
    """

    folder: Path
    facts: Mapping[str, Any]
    columns: Mapping[str, NDArray]
    shades: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.columns[TASK])

    def film(self, key: str) -> Path:
        """Film of a camera."""
        return self.folder / f"{key}.mp4"

    @classmethod
    def load(cls, folder: Path) -> StoredEpisode:
        """Reads what `store_episode` wrote."""
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(folder / COLUMNS_FILE)
            columns = {name: column_array(table[name]) for name in table.column_names}
            facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
            return cls(folder, facts, columns, np.load(folder / SHADES_FILE))
        except (OSError, ValueError, EOFError) as error:  # pyarrow's errors are ValueErrors
            raise DatasetError(
                f"{folder}: expected a finished episode, got {type(error).__name__}: {error}; "
                "delete the folder and export again"
            ) from None


def store_episode(
    folder: Path,
    facts: Mapping[str, Any],
    columns: Mapping[str, NDArray],
    dtypes: layout.Columns,
    shades: NDArray[np.int64],
) -> None:
    """Writes an episode into an existing folder; its films are written by others.

    Args:
        folder: Its folder.
        facts: Column of the episodes' table -> value.
        columns: Name -> (K,) or (K, width).
        dtypes: Columns of the set.
        shades: (3, 3, 256), see `xr0_sim.data.lerobot.statistics.shade_counts`.
    """
    dtypes = {name: spec for name, spec in dtypes.items() if name not in LATER}
    _write_parquet(folder / COLUMNS_FILE, [_table(columns, {**dtypes, TASK: ("string", 1)})])
    with replacing(folder / SHADES_FILE) as partial:
        np.save(partial, shades)
    write_json(folder / FACTS_FILE, dict(facts))


def write_tables(
    root: Path,
    episodes: Sequence[StoredEpisode],
    video_files: Mapping[str, Sequence[int]],
    dtypes: layout.Columns,
    image_size: int,
    robot: str,
) -> None:
    """Writes everything of a set but its films.

    Args:
        root: Folder of the set.
        episodes: In order.
        video_files: Camera key -> number of the film that each episode is in.
        dtypes: Columns of the set.
        image_size: Side of the pictures [px].
        robot: ``robot_type`` of ``info.json``.
    """
    tasks = list(dict.fromkeys(str(task) for e in episodes for task in e.columns[TASK]))
    wholes = [
        _whole(e, k, s, tasks)
        for k, (e, s) in enumerate(zip(episodes, _starts(episodes), strict=True))
    ]
    sizes = [(e.folder / COLUMNS_FILE).stat().st_size / 1e6 for e in episodes]
    files = layout.file_numbers(sizes, layout.DATA_FILE_MB)
    for file in dict.fromkeys(files):
        tables = [_table(w, dtypes) for w, f in zip(wholes, files, strict=True) if f == file]
        _write_parquet(layout.path(root, layout.DATA, file), tables)
    stats = [_stats([columns], [e], dtypes) for columns, e in zip(wholes, episodes, strict=True)]
    rows = _episode_rows(episodes, stats, files, video_files)
    _write_episodes(layout.path(root, layout.EPISODES, 0), rows)
    _write_tasks(root / layout.TASKS, tasks)
    write_json(root / layout.STATS, _stats(wholes, episodes, dtypes))
    frames = sum(map(len, episodes))
    facts = layout.info(image_size, dtypes, len(rows), frames, len(tasks), robot)
    write_json(root / layout.INFO, facts)


def _starts(episodes: Sequence[StoredEpisode]) -> list[int]:
    return [0, *np.cumsum([len(e) for e in episodes]).tolist()][:-1]


def _whole(
    episode: StoredEpisode, number: int, start: int, tasks: Sequence[str]
) -> dict[str, NDArray]:
    """All columns of an episode within its set."""
    count = len(episode)
    return {
        **{name: column for name, column in episode.columns.items() if name != TASK},
        "episode_index": np.full(count, number),
        "index": start + np.arange(count),
        "task_index": np.array([tasks.index(task) for task in episode.columns[TASK]]),
    }


def _stats(
    columns: Sequence[Mapping[str, NDArray]],
    episodes: Sequence[StoredEpisode],
    dtypes: layout.Columns,
) -> dict[str, dict[str, Any]]:
    """Statistics of some episodes together."""
    found: dict[str, dict[str, Any]] = {}
    counts = np.sum([e.shades for e in episodes], axis=0)
    frames = sum(map(len, episodes))
    for key, shades in zip(layout.video_keys(), counts, strict=True):
        found[key] = picture_stats(shades, frames)
    for name, (dtype, _) in dtypes.items():
        if dtype != "string":
            found[name] = number_stats(np.concatenate([part[name] for part in columns]))
    return found


def _episode_rows(
    episodes: Sequence[StoredEpisode],
    stats: Sequence[Mapping[str, Mapping[str, Any]]],
    files: Sequence[int],
    video_files: Mapping[str, Sequence[int]],
) -> list[dict[str, Any]]:
    rows = []
    begins = {key: _begins(episodes, numbers) for key, numbers in video_files.items()}
    for k, (episode, start) in enumerate(zip(episodes, _starts(episodes), strict=True)):
        row: dict[str, Any] = {
            "episode_index": k,
            "tasks": list(dict.fromkeys(map(str, episode.columns[TASK]))),
            "length": len(episode),
            "dataset_from_index": start,
            "dataset_to_index": start + len(episode),
            **episode.facts,
            **_placed("data", files[k]),
            **_placed("meta/episodes", 0),
        }
        for key, numbers in video_files.items():
            begin = begins[key][k]
            row |= _placed(f"videos/{key}", numbers[k])
            row[f"videos/{key}/from_timestamp"] = begin / CONTROL_HZ
            row[f"videos/{key}/to_timestamp"] = (begin + len(episode)) / CONTROL_HZ
        rows.append(row | flat(stats[k]))
    return rows


def _begins(episodes: Sequence[StoredEpisode], numbers: Sequence[int]) -> list[int]:
    """Frame of its film at which each episode begins."""
    begins: list[int] = []
    filled: dict[int, int] = {}
    for episode, number in zip(episodes, numbers, strict=True):
        begins.append(filled.get(number, 0))
        filled[number] = begins[-1] + len(episode)
    return begins


def _placed(name: str, file: int) -> dict[str, int]:
    return {f"{name}/{part}": number for part, number in layout.place(file).items()}


def _write_episodes(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa

    _write_parquet(path, [pa.Table.from_pylist([dict(row) for row in rows])])


def _write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """The format's index is the instruction, as pandas stores an index."""
    import pandas as pd

    frame = pd.DataFrame({"task_index": range(len(tasks))}, index=pd.Index(tasks, name=TASK))
    with replacing(path) as partial:
        frame.to_parquet(partial)


def _table(columns: Mapping[str, NDArray], dtypes: layout.Columns) -> Any:
    import pyarrow as pa

    types = {"bool": pa.bool_(), "string": pa.string()}
    arrays = {}
    for name, (dtype, width) in dtypes.items():
        kind = types.get(dtype) or pa.type_for_alias(dtype)
        values = np.asarray(columns[name])
        if dtype == "string":
            values = values.astype(object)
        else:
            values = values.astype(dtype)
        flattened = pa.array(values.reshape(-1), kind)
        arrays[name] = (
            flattened if width == 1 else pa.FixedSizeListArray.from_arrays(flattened, width)
        )
    return pa.table(arrays)


def _write_parquet(path: Path, tables: Iterable[Any]) -> None:
    """One row group per table."""
    import pyarrow.parquet as pq

    tables = list(tables)
    with replacing(path) as partial, pq.ParquetWriter(partial, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)


def column_array(column: Any) -> NDArray:
    """A column of a parquet table as (K,) or (K, width).

    Raises:
        ValueError: Its rows are lists of several lengths.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        if len(pc.list_value_length(column).unique()) > 1:
            raise ValueError("expected rows of one length")
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return column.to_numpy(zero_copy_only=False)
