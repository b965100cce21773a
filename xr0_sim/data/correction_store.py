"""Samples of a correction head: one file an episode, whole or not there.

```
    STORE/meta.json      views, side of the views, what made the data
    STORE/7000000.npz    one episode by its seed; no samples where the physics broke
```

Arrays named ``chunk_...`` have a row for each chunk of the episode: the measured state at its
capture, its ``rows`` (T, 14), their tool poses ``rows_tools`` (T, 2, 7) and ``views``
(V, S, S, 3). All others have a row for each sample: the measured state when the row was due,
``views``, ``expert`` (1, 14) and ``commanded`` (1, 14) with their ``..._tools``, ``chunk`` (the
row above), ``index``, ``age_ticks``, ``tick`` and ``gain``, the share of the expert's correction
that was executed. Tool poses are positions [m] and quaternions wxyz in the world frame.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.atomic import write_bytes, write_json
from xr0_sim.errors import DatasetError

META_FILE = "meta.json"
SUFFIX = ".npz"

Arrays = dict[str, NDArray[Any]]


def claim_store(folder: Path, meta: Mapping[str, Any]) -> None:
    """Notes what makes the data in a new store, or compares it with what made an old one's.

    Raises:
        DatasetError: The data of the store were made by something else.
    """
    path = folder / META_FILE
    wanted = json.loads(json.dumps(meta))
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            known = {}
        other = sorted(k for k in {*wanted, *known} if wanted.get(k) != known.get(k))
        if other:
            raise DatasetError(
                f"store {folder}: expected data made with the same {', '.join(other)}, got "
                "others; use another --out"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, wanted)


def stored_seeds(folder: Path) -> list[int]:
    """Seeds of the episodes in a store, in order."""
    return sorted(int(p.stem) for p in folder.glob(f"*{SUFFIX}") if p.stem.isdigit())


def check_filled(folder: Path) -> None:
    """Rejects a store without episodes."""
    if not stored_seeds(folder):
        raise DatasetError(f"store {folder}: expected episodes, found none; collect some")


def write_episode(folder: Path, seed: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Adds an episode."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    write_bytes(folder / f"{seed}{SUFFIX}", buffer.getvalue())


def read_episodes(folder: Path) -> tuple[Arrays, NDArray[np.int64]]:
    """All samples of a store, and the seed of each.

    Returns:
        Arrays by name, episodes one behind the other; ``chunk`` counts on over them.

    Raises:
        DatasetError: There are none, or a file is damaged.
    """
    check_filled(folder)
    episodes, seeds, chunks = [], [], 0
    for seed in stored_seeds(folder):
        path = folder / f"{seed}{SUFFIX}"
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise DatasetError(
                f"{path}: expected the samples of an episode, got {type(error).__name__}: {error}; "
                "delete the file and collect it again"
            ) from error
        if not arrays:
            continue
        arrays["chunk"] = arrays["chunk"].astype(np.int64) + chunks
        chunks += len(arrays["chunk_rows"])
        seeds.append(np.full(len(arrays["chunk"]), seed, np.int64))
        episodes.append(arrays)
    if not episodes:
        raise DatasetError(
            f"store {folder}: expected episodes with samples, found invalid ones; collect more"
        )
    joined = {name: np.concatenate([e[name] for e in episodes]) for name in episodes[0]}
    return joined, np.concatenate(seeds)
