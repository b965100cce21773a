"""Atomic file writes: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xr0_sim.errors import StorageError, not_written


def partial_path(path: Path) -> Path:
    """Name under which ``path`` is written until it is complete; same folder, same suffix."""
    return path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")


PARTIAL = re.compile(r"\..*\.part\d+(\.\w+)?")
"""Names that `partial_path` gives."""


def remove_partials(folder: Path) -> None:
    """Removes what killed processes left half written below ``folder``.

    Only for a folder that no other process is writing to.
    """
    for leftover in folder.rglob(".*.part*"):
        if PARTIAL.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)


def write_bytes(path: Path, payload: bytes) -> None:
    """Writes to a neighbouring temporary file, syncs, then renames over ``path``.

    Raises:
        StorageError: It does not fit or may not be written; ``path`` is as it was.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(payload)


def write_json(path: Path, value: object) -> None:
    """Writes indented JSON with sorted keys, atomically."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a neighbouring temporary path to fill; on success it is synced and replaces ``path``.

    On an error ``path`` is left as it was.

    Raises:
        StorageError: It does not fit or may not be written.
    """
    path = Path(path)
    temporary = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except StorageError:  # of a file inside this one's block; it has been named already
        raise
    except OSError as error:
        raise not_written(path, error) from error
