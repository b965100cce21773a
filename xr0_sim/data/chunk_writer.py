"""Writes samples into a store: buffered, in atomic shards, resumable, one prefix per process."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.data.chunk_schema import SHARD_DIR, SHARD_FILE, SHARD_NAME, TABLED_FIELDS, StoreMeta
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.types import RobotState

PREFIX_PATTERN = re.compile(r"[a-z0-9_]+")
SHARD_SAMPLES = 512


class ChunkWriter:
    """Appends samples under one prefix.

    An episode's samples become visible together: `end_episode` closes the shard when it is full, so
    a killed process never leaves half an episode behind.

    Args:
        root: Store directory; created when missing.
        meta: Identity of the store; must fit an existing one.
        prefix: Name of this writer, unique among concurrent writers: ``[a-z0-9_]+``.
        shard_samples: Smallest number of samples that closes a shard.
        origin: What makes the samples, as JSON: commit, command, checkpoint. Kept in every shard,
            since a store is filled by several programs over time.
    """

    def __init__(
        self,
        root: Path,
        meta: StoreMeta,
        prefix: str,
        shard_samples: int = SHARD_SAMPLES,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        if not PREFIX_PATTERN.fullmatch(prefix):
            raise ConfigError(f"shard prefix: expected [a-z0-9_]+, got {prefix!r}")
        self._root = Path(root)
        self._fields = meta.fields()
        self._prefix = prefix
        self._shard_samples = shard_samples
        self._origin = dict(origin or {})
        self._buffer: list[dict[str, np.ndarray]] = []
        self._tables: dict[str, list[str]] = {name: [] for name in TABLED_FIELDS}
        (self._root / SHARD_DIR).mkdir(parents=True, exist_ok=True)
        meta.save(self._root)
        for leftover in (self._root / SHARD_DIR).glob(f".{prefix}-*.tmp"):
            shutil.rmtree(leftover)

    def finished_seeds(self) -> set[int]:
        """Episode seeds this prefix has already stored: what a resumed collection skips."""
        seeds: set[int] = set()
        for shard in self._shards():
            try:
                seeds.update(np.load(shard / "episode_seed.npy").tolist())
            except (OSError, ValueError, EOFError, TypeError) as error:
                raise DatasetError(
                    f"shard {shard}: expected a complete shard, got {type(error).__name__}: "
                    f"{error}; delete the directory and collect its episodes again"
                ) from error
        return seeds

    def add(
        self,
        *,
        images: np.ndarray,
        robot: RobotState,
        instruction: str,
        actions: np.ndarray,
        action_tools: np.ndarray,
        valid_steps: int,
        episode_seed: int,
        tick: int,
        source: str,
        committed: int = 0,
        grounding: np.ndarray | None = None,
        grounding_mask: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> None:
        """Buffers one sample.

        Args:
            images: (cameras, H, W, 3) uint8 in the store's camera order.
            robot: Measured state at the capture.
            instruction: Task text in force.
            actions: (T, 14) absolute targets; rows from ``valid_steps`` on are ignored.
            action_tools: (T, 2, 7) tool position [m] and quaternion wxyz of those targets, world.
            valid_steps: Leading rows that were recorded, 0..T; 0 = a sight without a chunk.
            episode_seed: Seed of the episode; the split into training and validation goes by it.
            tick: Control tick of the capture.
            source: Where the sample comes from, e.g. "demo" or "dagger1".
            committed: Leading rows that are the policy's own commitment, not a label.
            grounding: (G,) targets of the grounding readout.
            grounding_mask: (G,) True where a target is known.
            weight: Relative sampling weight.
        """
        width = self._fields["grounding"][0][0]
        steps = self._fields["actions"][0][0]
        sight = committed == valid_steps == 0
        if not sight and not 0 <= committed < valid_steps <= steps:
            raise ConfigError(
                f"sample: expected 0 <= committed < valid_steps <= {steps}, got committed "
                f"{committed}, valid_steps {valid_steps}"
            )
        values: Mapping[str, object] = {
            "images": images,
            **{name: getattr(robot, name) for name in RobotState.__dataclass_fields__},
            "actions": actions,
            "action_tools": action_tools,
            "valid_steps": valid_steps,
            "committed": committed,
            "grounding": np.zeros(width) if grounding is None else grounding,
            "grounding_mask": np.zeros(width) if grounding_mask is None else grounding_mask,
            "episode_seed": episode_seed,
            "tick": tick,
            "weight": weight,
            "instruction": self._tabled("instruction", instruction),
            "source": self._tabled("source", source),
        }
        row = {}
        for name, (shape, dtype) in self._fields.items():
            array: NDArray = np.array(values[name], dtype=dtype)
            if array.shape != shape:
                raise ConfigError(f"sample {name}: expected shape {shape}, got {array.shape}")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ConfigError(f"sample {name}: expected finite values, got NaN or infinity")
            row[name] = array
        self._buffer.append(row)

    def drop_episode(self, episode_seed: int) -> None:
        """Forgets the buffered samples of an episode, e.g. one that failed."""
        self._buffer = [row for row in self._buffer if int(row["episode_seed"]) != episode_seed]

    def end_episode(self) -> None:
        """Marks an episode as complete; writes a shard when enough samples wait."""
        if len(self._buffer) >= self._shard_samples:
            self.flush()

    def flush(self) -> None:
        """Writes the buffered samples as one shard."""
        if not self._buffer:
            return
        numbers = [int(shard.name.rsplit("-", 1)[1]) for shard in self._shards()]
        name = f"{self._prefix}-{max(numbers, default=-1) + 1:05d}"
        temporary = self._root / SHARD_DIR / f".{name}.tmp"
        temporary.mkdir()
        for field in self._fields:
            np.save(temporary / f"{field}.npy", np.stack([row[field] for row in self._buffer]))
        card = {"count": len(self._buffer), "tables": self._tables, "origin": self._origin}
        (temporary / SHARD_FILE).write_text(json.dumps(card))
        for file in temporary.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        target = self._root / SHARD_DIR / name
        try:
            os.rename(temporary, target)
        except OSError as error:
            raise DatasetError(
                f"shard {target}: expected a new name, got an existing shard; give every "
                "concurrent writer its own prefix"
            ) from error
        self._buffer = []
        self._tables = {name: [] for name in TABLED_FIELDS}

    def __enter__(self) -> ChunkWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.flush()

    def _shards(self) -> list[Path]:
        found = (self._root / SHARD_DIR).glob(f"{self._prefix}-[0-9]*")
        return sorted(path for path in found if SHARD_NAME.fullmatch(path.name))

    def _tabled(self, name: str, value: str) -> int:
        table = self._tables[name]
        if value not in table:
            table.append(value)
        return table.index(value)
