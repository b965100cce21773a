"""Columns of a study's frame and of its parquet file, with their types.

Units stand at the end of the names. ``schema`` of the file's metadata is `SCHEMA_VERSION`.

* one column per factor: text of the level;
* ``condition``, ``seed``; ``valid`` and ``invalid_reason``: an invalid episode says nothing about
  the policy, its figures are to be left out; ``outcome``; ``protective_stop_reason``;
* ``digest``, ``twin_digest``: of the tick logs; ``event_kind``, ``event_tick``: of the first event;
* ``shared_ticks``: ticks that the episode has from its twin; ``cpu_s``: CPU time it took;
* every figure of `xr0_sim.metrics.episode.episode_metrics` and of the comparison with the twin.
  ``time_to_success_s`` is missing for episodes without success: censored at ``duration_s``.
  ``reaction_s`` is missing where ``reaction_censored``: censored at ``reaction_observed_s``;
* in the file only: ``events``, ``reactions``, ``pending_events`` as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.runner.episode_rows import Row
from xr0_sim.atomic import replacing
from xr0_sim.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
TEXT, WHOLE, FLAG, NUMBER = "text", "whole", "flag", "number"

COLUMNS: dict[str, str] = {
    "condition": TEXT,
    "seed": "int64",
    "valid": "bool",
    "invalid_reason": TEXT,
    "outcome": TEXT,
    "stopped_early": TEXT,
    "protective_stop_reason": TEXT,
    "digest": TEXT,
    "twin_digest": TEXT,
    "event_kind": TEXT,
    "event_tick": WHOLE,
    "shared_ticks": WHOLE,
    "cpu_s": NUMBER,
    "reaction_observed_s": NUMBER,
}
"""Columns of every study -> their types."""
FLAGS = ("success", "event_fired", "twin_success", "reaction_censored", "protective_stop", "loops")
COUNTS = (
    *("model_calls", "refreshes", "lost_chunks", "dropped_chunks", "corrections", "seams"),
    *("starved_ticks", "longest_gap_ticks", "initial_wait_ticks", "open_loop_ticks"),
    "repeated_grasps",
)
COUNTS_OF_TASKS = ("drops",)
FIRST_FIGURES = ("success", "progress", "duration_s", "time_to_success_s")
EVENT_FIGURES = (
    "event_fired",
    "twin_success",
    "reaction_s",
    "reaction_bound_s",
    "reaction_censored",
    "extra_time_s",
    "open_loop_ticks",
)
"""Figures of the comparison with the twin, missing in rows without events."""
JSON_COLUMNS = ("events", "reactions", "pending_events")


def figure_type(name: str) -> str:
    """Type of a figure's column; one nobody lists is a number."""
    if name in FLAGS:
        return FLAG
    return WHOLE if name in (*COUNTS, *COUNTS_OF_TASKS) else NUMBER


def check_factor_names(names: Iterable[str]) -> None:
    """Refuses factors that are called like a column.

    Raises:
        ConfigError: One is.
    """
    taken = {*COLUMNS, *FLAGS, *COUNTS, *COUNTS_OF_TASKS, *JSON_COLUMNS}
    for name in names:
        if name in taken:
            raise ConfigError(f"factor {name}: expected a name that no column has; choose another")


def flat_row(row: Row) -> dict[str, Any]:
    """A row as values by column, factors left out."""
    events, reactions = row.get("events") or [], row.get("reactions") or []
    first = reactions[0] if reactions else {}
    return {
        "condition": row["condition"],
        "seed": row["seed"],
        "valid": bool(row.get("valid", True)),
        "invalid_reason": row.get("invalid_reason"),
        "outcome": row["outcome"],
        "stopped_early": row.get("stopped_early"),
        "protective_stop_reason": row.get("protective_stop"),
        "digest": row["digest"],
        "twin_digest": row["twin_digest"],
        "event_kind": events[0]["kind"] if events else None,
        "event_tick": events[0]["tick"] if events else None,
        "shared_ticks": row.get("shared_ticks"),
        "cpu_s": row.get("cpu_s"),
        "reaction_observed_s": first.get("observed_s"),
        **row["figures"],
    }


def data_frame(rows: Sequence[Row], factors: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """One line per row, typed.

    Args:
        rows: Rows, in order.
        factors: Factor -> name of a condition -> level.
    """
    import pandas as pd

    flat = [flat_row(row) for row in rows]
    own = [name for row in flat for name in row if name not in (*COLUMNS, *EVENT_FIGURES)]
    figures = list(dict.fromkeys((*FIRST_FIGURES, *own, *EVENT_FIGURES)))
    columns: dict[str, Any] = {
        factor: pd.Series([levels[row["condition"]] for row in flat], dtype=object)
        for factor, levels in factors.items()
    }
    types = COLUMNS | {name: figure_type(name) for name in figures}
    for name, kind in types.items():
        columns[name] = _series([row.get(name) for row in flat], kind)
    return pd.DataFrame(columns)


def _series(values: list[Any], kind: str) -> Any:
    import pandas as pd

    if kind == TEXT:
        return pd.Series(values, dtype=object)
    if kind == NUMBER:
        return pd.Series([math.nan if v is None else float(v) for v in values], dtype="float64")
    dtype = {WHOLE: "Int64", FLAG: "boolean"}.get(kind, kind)
    given = [pd.NA if value is None else value for value in values]
    return pd.Series(given, dtype=dtype)


def write_table(
    rows: Sequence[Row], factors: Mapping[str, Mapping[str, str]], path: Path, meta: Any
) -> None:
    """Writes the parquet file; it appears complete or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow.fs import LocalFileSystem

    frame = data_frame(rows, factors)
    for name in JSON_COLUMNS:
        texts = [json.dumps(row.get(name) or [], ensure_ascii=False) for row in rows]
        frame[name] = pa.array(texts).to_pandas().astype(object)
    kinds = {TEXT: pa.string(), WHOLE: pa.int64(), FLAG: pa.bool_(), NUMBER: pa.float64()}
    kinds |= {"int64": pa.int64(), "bool": pa.bool_()}
    fields = []
    for name in frame.columns:
        texts_only = name in factors or name in JSON_COLUMNS
        kind = TEXT if texts_only else COLUMNS.get(name) or figure_type(name)
        fields.append(pa.field(name, kinds[kind]))
    table = pa.Table.from_pandas(frame, pa.schema(fields), preserve_index=False)
    told = json.dumps({"schema": SCHEMA_VERSION, **meta})
    with replacing(path.absolute()) as partial:
        pq.write_table(
            table.replace_schema_metadata({"xr0_sim_study": told}),
            partial,
            compression="zstd",
            filesystem=LocalFileSystem(),
        )


def read_table(path: Path) -> list[Row]:
    """Rows of a file of `write_table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.ParquetFile(file).read()
        meta = json.loads((table.schema.metadata or {}).get(b"xr0_sim_study", b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"study table {path}: expected a parquet file; {error}") from None
    if meta.get("schema") != SCHEMA_VERSION:
        raise DatasetError(
            f"study table {path}: expected schema {SCHEMA_VERSION}, got {meta.get('schema')}"
        )
    factors = meta.get("factors", [])
    return [_row(flat, factors) for flat in table.to_pylist()]


def _row(flat: dict[str, Any], factors: Sequence[str]) -> Row:
    row: Row = {
        name: flat[name]
        for name in ("seed", "condition", "outcome", "valid", "invalid_reason", "stopped_early")
    }
    row |= {"digest": flat["digest"], "twin_digest": flat["twin_digest"], "video": None}
    row |= {"shared_ticks": flat["shared_ticks"], "cpu_s": flat["cpu_s"]}
    row["protective_stop"] = flat["protective_stop_reason"]
    row |= {name: json.loads(flat[name]) for name in JSON_COLUMNS}
    beside = {*COLUMNS, *JSON_COLUMNS, *factors}
    row["figures"] = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in flat.items()
        if name not in beside
    }
    return row
