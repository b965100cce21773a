"""The tick log: one row per control tick, enough to recompute every figure of an episode."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.atomic import replacing
from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import DatasetError
from xr0_sim.record.arrow_column import arrow_column
from xr0_sim.runtime.episode_ports import EpisodeResult, EpisodeStart, TickSample
from xr0_sim.runtime.tick_record import HANDOVER_ROWS
from xr0_sim.types import EventRecord

FORMAT_VERSION = 1

_GAP_WIDTH = HANDOVER_ROWS * ENV_ACTION_DIM
_NO_GAP = np.full(_GAP_WIDTH, np.nan)


@dataclass(frozen=True)
class TickColumn:
    """One column of the log.

    Attributes:
        dtype: ``i8``, ``f8``, ``?`` or ``U`` (text).
        width: Numbers per row; 1 is stored as a scalar.
        get: Value of a tick.
    """

    dtype: str
    width: int
    get: Callable[[TickSample], Any]


def _record(name: str, dtype: str) -> TickColumn:
    return TickColumn(dtype, 1, lambda sample: getattr(sample.record, name))


TICK_COLUMNS: dict[str, TickColumn] = {
    "tick": _record("tick", "i8"),
    "time_ns": _record("time_ns", "i8"),
    "action": TickColumn("f8", ENV_ACTION_DIM, lambda s: s.record.action),
    "joint_pos": TickColumn("f8", 12, lambda s: s.robot.joint_pos),
    "joint_vel": TickColumn("f8", 12, lambda s: s.robot.joint_vel),
    "jaw": TickColumn("f8", 2, lambda s: s.robot.jaw),
    "tool_pos": TickColumn("f8", 6, lambda s: s.robot.tool_pos),
    "tool_quat": TickColumn("f8", 8, lambda s: s.robot.tool_quat),
    "chunk_id": _record("chunk_id", "i8"),
    "index": _record("index", "i8"),
    "age_ticks": _record("age_ticks", "i8"),
    "hold": _record("hold", "?"),
    "queue": _record("queue", "i8"),
    "inferring": _record("inferring", "?"),
    "started": _record("started", "i8"),
    "latency_s": _record("latency_s", "f8"),
    "d_floor": _record("d_floor", "i8"),
    "d_ceil": _record("d_ceil", "i8"),
    "estimated_ticks": _record("estimated_ticks", "i8"),
    "prefix_steps": _record("prefix_steps", "i8"),
    "delivered": _record("delivered", "i8"),
    "overrun": _record("overrun", "?"),
    "seam": _record("seam", "?"),
    "seam_gap": TickColumn(
        "f8", _GAP_WIDTH, lambda s: s.record.handover.gap if s.record.handover else _NO_GAP
    ),
    "reward": TickColumn("f8", 1, lambda s: s.reward),
    "progress": TickColumn("f8", 1, lambda s: s.info.get("progress", np.nan)),
    "phase": TickColumn("U", 1, lambda s: s.info.get("phase", "")),
    "events": TickColumn("U", 1, lambda s: ",".join(e.kind for e in s.info.get("events", ()))),
}
"""Columns in file order. Proprioception is that of the tick's start; reward, progress, phase and
events are those of its end; seam_gap is (3, 14) flattened, NaN except at a seam."""


UNSIGNED_COLUMNS: dict[str, TickColumn] = {
    "refresh": _record("refresh", "?"),
    "flops": _record("flops", "f8"),
    "lost": _record("lost", "?"),
    "correction_s": _record("correction_s", "f8"),
    "correction_flops": _record("correction_flops", "f8"),
    "dropped": _record("dropped", "i8"),
}
"""Columns beside them that are in no digest, so that digests of older logs keep their meaning; a
file without them reads as one without refreshes, losses, corrections and dropped chunks, and with
unknown costs."""
_ALL_COLUMNS = TICK_COLUMNS | UNSIGNED_COLUMNS


@dataclass(frozen=True)
class TickTable:
    """A tick log as arrays.

    Attributes:
        columns: Name -> (K,) or (K, width) array.
        meta: Seed, control rate and whatever else was stored beside it, JSON values.
    """

    columns: Mapping[str, NDArray]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of ticks."""
        return len(self.columns["tick"])

    def __getitem__(self, name: str) -> NDArray:
        """One column."""
        return self.columns[name]

    def digest(self) -> str:
        """SHA-256 over names, types and bytes of all columns: equal for identical runs."""
        sha = hashlib.sha256(f"ticklog {FORMAT_VERSION}".encode())
        for name, spec in TICK_COLUMNS.items():
            array = self.columns[name]
            sha.update(f"|{name}:{spec.dtype}:{array.shape}|".encode())
            if spec.dtype == "U":
                sha.update(json.dumps(array.tolist(), ensure_ascii=True).encode())
                continue
            plain = np.ascontiguousarray(array, dtype=np.dtype(spec.dtype).newbyteorder("<"))
            if spec.dtype == "f8":
                plain = np.where(np.isnan(plain), np.nan, plain)  # one NaN, whatever its payload
            sha.update(plain.tobytes())
        return sha.hexdigest()


class TickLog:
    """Subscriber that keeps every tick of the running episode in memory."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._meta: dict[str, Any] = {}

    def branch(self) -> TickLog:
        """A log that goes on from here by itself."""
        branch = TickLog()
        branch._rows, branch._meta = list(self._rows), dict(self._meta)
        return branch

    def on_reset(self, start: EpisodeStart) -> None:
        """Forgets the previous episode."""
        self._rows = []
        self._meta = {"seed": start.seed, "control_hz": start.control_hz}

    def on_tick(self, sample: TickSample) -> None:
        """Adds a row."""
        self._rows.append(
            tuple(
                np.array(spec.get(sample), dtype=np.float64).ravel()
                if spec.width > 1
                else spec.get(sample)
                for spec in _ALL_COLUMNS.values()
            )
        )

    def on_event(self, event: EventRecord) -> None:
        """Nothing to do: the tick's own row names its events."""

    def on_end(self, result: EpisodeResult) -> None:
        """Notes the outcome."""
        self._meta["outcome"] = result.outcome

    def table(self) -> TickTable:
        """Everything logged so far."""
        count = len(self._rows)
        columns = {}
        for place, (name, spec) in enumerate(_ALL_COLUMNS.items()):
            shape = (count,) if spec.width == 1 else (count, spec.width)
            values = [row[place] for row in self._rows]
            dtype = np.dtype(object) if spec.dtype == "U" else np.dtype(spec.dtype)
            columns[name] = np.array(values, dtype=dtype).reshape(shape)
        return TickTable(columns, dict(self._meta))


def _unknown(name: str, count: int) -> NDArray:
    """A column of `UNSIGNED_COLUMNS` of which nothing is known."""
    dtype = UNSIGNED_COLUMNS[name].dtype
    return np.full(count, np.nan) if dtype == "f8" else np.zeros(count, dtype)


def write_ticklog(table: TickTable, path: str | Path) -> None:
    """Writes a parquet file; it appears complete or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow.fs import LocalFileSystem

    arrays = {}
    for name, spec in _ALL_COLUMNS.items():
        values = table[name] if name in table.columns else _unknown(name, len(table))
        arrays[name] = arrow_column(values, spec.dtype, spec.width)
    meta = {**table.meta, "format": FORMAT_VERSION, "digest": table.digest()}
    frame = pa.table(arrays).replace_schema_metadata({"xr0_sim": json.dumps(meta)})
    # pyarrow would take a name with a colon for a remote address and a leading ~ for a home.
    with replacing(Path(path).absolute()) as partial:
        pq.write_table(frame, partial, compression="zstd", filesystem=LocalFileSystem())


def read_ticklog(path: str | Path) -> TickTable:
    """Reads a file of `write_ticklog`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with Path(path).open("rb") as file:
            frame = pq.ParquetFile(file).read()
        meta = json.loads((frame.schema.metadata or {}).get(b"xr0_sim", b"null"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"tick log {path}: expected a readable parquet file; {error}") from None
    missing = [name for name in TICK_COLUMNS if name not in frame.column_names]
    if not isinstance(meta, dict) or missing:
        what = f"columns {', '.join(missing)}" if missing else "the xr0_sim metadata"
        raise DatasetError(f"tick log {path}: expected {what}, got another kind of parquet file")
    try:
        return TickTable(_columns(frame), meta)
    except (ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise DatasetError(
            f"tick log {path}: expected the columns of `TICK_COLUMNS`; {error}"
        ) from None


def _columns(frame: Any) -> dict[str, NDArray]:
    """Arrays of a parquet table, by column."""
    columns = {}
    for name, spec in _ALL_COLUMNS.items():
        if name in UNSIGNED_COLUMNS and name not in frame.column_names:
            columns[name] = _unknown(name, frame.num_rows)
            continue
        column = frame[name].combine_chunks()
        if spec.width > 1:
            columns[name] = column.flatten().to_numpy().reshape(-1, spec.width)
        elif spec.dtype == "U":
            columns[name] = np.array(column.to_pylist(), dtype=object)
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return columns
