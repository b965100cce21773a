"""JSON objects from files that others wrote: size and nesting are bounded before any use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from xr0_sim.errors import CheckpointError

LARGEST_CONFIG_BYTES = 2**20
"""Configuration files take a few kB."""
LARGEST_TABLE_BYTES = 2**28
"""Statistics of robot types and tensor indices take up to some MB."""
DEEPEST_NESTING = 16


def read_object(
    path: Path, what: str, remedy: str, largest_bytes: int = LARGEST_CONFIG_BYTES
) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: File.
        what: What it holds, for messages, e.g. "config".
        remedy: What to do about a file that holds something else.
        largest_bytes: Larger files are refused unread.

    Raises:
        CheckpointError: Unreadable, too large, not JSON, not an object, or nested too deeply.
    """
    try:
        size = path.stat().st_size
        if size > largest_bytes:
            raise ValueError(f"{size} bytes, more than {largest_bytes}")
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        if not isinstance(values, dict):
            raise ValueError(f"{_kind(values)} instead of an object")
        if _nesting(values) > DEEPEST_NESTING:
            raise ValueError(f"objects nested more than {DEEPEST_NESTING} deep")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{what} {path}: expected readable JSON, got {type(error).__name__}: {error}; {remedy}"
        ) from error
    return values


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text}, which is no JSON number")


def _kind(value: object) -> str:
    names = {type(None): "null", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")


def _nesting(value: object) -> int:
    depth, level = 0, [value]
    while level and depth <= DEEPEST_NESTING:
        depth += 1
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = [item for item in inner if isinstance(item, dict | list)]
    return depth
