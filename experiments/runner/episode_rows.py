"""The rows of ``episodes.jsonl``: what a line must hold, and whether tick logs bear it out."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from xr0_sim.errors import DatasetError
from xr0_sim.record.ticklog import read_ticklog

Row = dict[str, Any]
"""JSON values: ``seed``, ``outcome``, ``valid``, ``invalid_reason``, ``protective_stop`` (why the
arms stopped, or null), ``figures``, ``events``, ``digest``, ``twin_digest``, ``video``."""

BESIDE = ("video", "cpu_s", "shared_ticks")
"""Entries that may differ between two runs of one episode."""
KeyT = TypeVar("KeyT", bound=Hashable)
TICKS_FOLDER = "ticks"
SHOWN_CHARACTERS = 60
CURE = "correct or delete the line; the seed of a deleted line runs again"

REQUIRED: dict[str, tuple[tuple[type, ...], str]] = {
    "seed": ((int,), "a whole number"),
    "digest": ((str,), "text"),
    "twin_digest": ((str, type(None)), "text or null"),
    "figures": ((dict,), "an object"),
}
"""Entries without which a row is none -> their types, in words too."""


def log_path(folder: Path, seed: int, *, twin: bool = False) -> Path:
    """Tick log of an episode inside a run folder."""
    return folder / TICKS_FOLDER / f"seed{seed}{'_twin' if twin else ''}.parquet"


def is_valid(row: Mapping[str, Any]) -> bool:
    """Whether an episode says something about the policy; rows of 0.1 do not tell and are."""
    return bool(row.get("valid", True))


def figures_of(rows: Iterable[Row]) -> list[Mapping[str, Any]]:
    """Figure rows of the valid episodes, for `xr0_sim.metrics.summarise`."""
    return [row["figures"] for row in rows if is_valid(row)]


def parse_rows(data: bytes, path: Path) -> dict[int, Row]:
    """Rows by seed, in file order; see `rows_by`."""
    return rows_by(data, path, lambda row: int(row["seed"]))


def rows_by(data: bytes, path: Path, key: Callable[[Row], KeyT]) -> dict[KeyT, Row]:
    """Rows by a key, in file order; a row that stands there twice alike counts once.

    Args:
        data: Whole lines, UTF-8, each ended by a line feed. Other line separators of Unicode may
            stand inside a JSON string and end nothing.
        path: Named in errors.
        key: What tells rows apart.

    Raises:
        DatasetError: A line is no episode row, or two rows of one key contradict each other.
    """
    rows: dict[KeyT, Row] = {}
    lines: dict[KeyT, int] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        row = _parse(line, f"{path}: line {number}")
        name, seed = key(row), row["seed"]
        if name in rows and told(rows[name]) != told(row):
            raise DatasetError(
                f"{path}: expected one row per seed, got two different ones of seed {seed} in "
                f"lines {lines[name]} and {number}; delete the wrong one, or both, and the seed "
                "runs again"
            )
        rows[name] = row
        lines.setdefault(name, number)
    return rows


def log_problem(folder: Path, row: Mapping[str, Any]) -> str | None:
    """Why the tick logs of a row do not bear it out, or None if they do.

    Both logs, that of the episode and that of its undisturbed twin, are read and digested.
    """
    wanted = {False: row["digest"], True: row["twin_digest"]}
    for twin, digest in wanted.items():
        path = log_path(folder, row["seed"], twin=twin)
        if digest is None:
            continue
        if not path.is_file():
            return f"{path.name} is missing"
        try:
            found = read_ticklog(path).digest()
        except DatasetError:
            return f"{path.name} cannot be read"
        if found != digest:
            return f"{path.name} has another digest than its row"
    return None


def _parse(line: bytes, place: str) -> Row:
    shown = line[:SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{place}: expected a JSON object, got {shown!r} ({error}); {CURE}"
        ) from None
    for name, (kinds, wanted) in REQUIRED.items():
        value = row.get(name, ...) if isinstance(row, dict) else ...
        if not isinstance(value, kinds) or isinstance(value, bool):
            got = shown if value is ... else f"{name} = {json.dumps(value)[:SHOWN_CHARACTERS]}"
            raise DatasetError(
                f"{place}: expected an episode row with {name} as {wanted}, got {got}; {CURE}"
            )
    return row


def told(row: Row) -> dict[str, Any]:
    """What a row says about its episode; its cost and the name of its film may be others."""
    return {name: value for name, value in row.items() if name not in BESIDE}
