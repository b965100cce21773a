"""Reads a sample store: random batches as numpy arrays, train/validation split by episode."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.data.chunk_schema import SHARD_DIR, SHARD_FILE, SHARD_NAME, TABLED_FIELDS, StoreMeta
from xr0_sim.errors import DatasetError
from xr0_sim.model.spec.action_layout import ArmTargets
from xr0_sim.types import RobotState

SPLIT_BUCKETS = 10_000


@dataclass(frozen=True)
class Shard:
    """One shard: its name, the row its samples start at, its length, and what collected it.

    ``origin`` is empty for shards of before origins were kept.
    """

    name: str
    start: int
    count: int
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """Commit of the code that labelled its samples; ``unknown`` if it was not kept."""
        return str(self.origin.get("commit", "unknown"))


class ChunkStore:
    """A read-only view of every shard present when it is opened.

    Images stay memory-mapped; everything else is held in memory (about 4 kB a sample).

    Args:
        root: Store directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.meta = StoreMeta.load(self.root)
        self.shards: list[Shard] = []
        self.tables: dict[str, list[str]] = {name: [] for name in TABLED_FIELDS}
        self._images: list[NDArray[np.uint8]] = []
        parts: dict[str, list[NDArray]] = {name: [] for name in self.meta.fields()}
        start = 0
        for path in sorted((self.root / SHARD_DIR).glob("[a-z0-9_]*-[0-9]*")):
            if not SHARD_NAME.fullmatch(path.name):
                continue
            count, columns, origin = self._open_shard(path)
            for name, column in columns.items():
                parts[name].append(column)
            self._images.append(columns["images"])
            self.shards.append(Shard(path.name, start, count, origin))
            start += count
        if not self.shards:
            raise DatasetError(f"store {self.root}: expected at least one shard, got none")
        self._columns = {
            name: np.concatenate(columns) for name, columns in parts.items() if name != "images"
        }
        self._starts = np.array([shard.start for shard in self.shards])

    def __len__(self) -> int:
        return len(self._columns["tick"])

    def column(self, name: str) -> NDArray:
        """One field of every sample, (N, ...), images excepted."""
        return self._columns[name]

    @property
    def instructions(self) -> list[str]:
        """String table that the ``instruction`` column points into."""
        return self.tables["instruction"]

    @property
    def sources(self) -> list[str]:
        """String table that the ``source`` column points into."""
        return self.tables["source"]

    def images(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(B, cameras, H, W, 3) in the order of the indices."""
        indices = np.asarray(indices)
        shard_of = np.searchsorted(self._starts, indices, side="right") - 1
        shape, dtype = self.meta.fields()["images"]
        batch: NDArray = np.empty((len(indices), *shape), dtype)
        for shard in np.unique(shard_of):
            rows = np.flatnonzero(shard_of == shard)
            batch[rows] = self._images[shard][indices[rows] - self._starts[shard]]
        return batch

    def robot(self, indices: NDArray[np.integer]) -> RobotState:
        """Measured states with a leading batch axis."""
        names = RobotState.__dataclass_fields__
        return RobotState(**{name: self._columns[name][indices].astype(float) for name in names})

    def targets(self, indices: NDArray[np.integer]) -> ArmTargets:
        """Absolute chunks with a leading batch axis."""
        tools = self._columns["action_tools"][indices].astype(float)
        actions = self._columns["actions"][indices]
        return ArmTargets.from_actions(actions, tools[..., :3], tools[..., 3:])

    def commits(self) -> NDArray[np.str_]:
        """Commit of the code that labelled each sample, (N,); ``unknown`` where none was kept."""
        names = np.array([shard.commit for shard in self.shards])
        return np.repeat(names, [shard.count for shard in self.shards])

    def split(
        self, validation_fraction: float, salt: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training and validation rows; an episode seed falls on one side, whatever else grows.

        Args:
            validation_fraction: Share of episode seeds held out, 0..1.
            salt: Changes which seeds are held out.
        """
        seeds, inverse = np.unique(self._columns["episode_seed"], return_inverse=True)
        buckets = [zlib.crc32(f"{salt}:{seed}".encode()) % SPLIT_BUCKETS for seed in seeds]
        held_out = (np.array(buckets) < validation_fraction * SPLIT_BUCKETS)[inverse]
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)

    def _open_shard(self, path: Path) -> tuple[int, dict[str, NDArray], dict[str, Any]]:
        """Row count, columns and origin of a shard, its strings renumbered into the tables."""
        columns: dict[str, NDArray] = {}
        try:
            count, tables, origin = _read_card(path / SHARD_FILE)
            for name, (shape, dtype) in self.meta.fields().items():
                columns[name] = np.load(
                    path / f"{name}.npy", mmap_mode="r" if name == "images" else None
                )
                if columns[name].shape != (count, *shape) or columns[name].dtype != dtype:
                    raise ValueError(
                        f"{name} is {columns[name].dtype} {columns[name].shape}, expected "
                        f"{np.dtype(dtype)} {(count, *shape)}"
                    )
            for name in TABLED_FIELDS:
                if count and not 0 <= columns[name].min() <= columns[name].max() < len(
                    tables[name]
                ):
                    raise ValueError(f"{name} points beyond its table of {len(tables[name])}")
                columns[name] = self._merged(name, tables[name])[columns[name]]
        except (OSError, ValueError, EOFError, RecursionError) as error:
            raise DatasetError(
                f"shard {path}: expected a complete shard, got {type(error).__name__}: {error}; "
                "delete the directory and collect its episodes again"
            ) from error
        return count, columns, origin

    def _merged(self, name: str, table: list[str]) -> NDArray[np.int32]:
        merged = self.tables[name]
        merged.extend(value for value in table if value not in merged)
        return np.array([merged.index(value) for value in table], np.int32)


def _read_card(path: Path) -> tuple[int, dict[str, list[str]], dict[str, Any]]:
    """Row count, string tables and origin of a shard.

    Raises:
        ValueError: An entry is missing or of another kind.
    """
    card = json.loads(path.read_text(encoding="utf-8"))
    count = card.get("count") if isinstance(card, dict) else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(f"expected {path.name} with a count of 0 or more, got {count!r}")
    tables = card.get("tables")
    for name in TABLED_FIELDS:
        table = tables.get(name) if isinstance(tables, dict) else None
        if not isinstance(table, list) or not all(isinstance(text, str) for text in table):
            raise ValueError(f"expected {path.name} with a list of texts for {name}, got {table!r}")
    origin = card.get("origin", {})
    if not isinstance(origin, dict):
        raise ValueError(f"expected {path.name} with an object as origin, got {origin!r}")
    return count, {name: tables[name] for name in TABLED_FIELDS}, origin
