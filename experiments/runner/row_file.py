"""An append-only file of JSON lines: what was appended is on disk, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xr0_sim.atomic import write_bytes
from xr0_sim.errors import not_written
from xr0_sim.record.runcard import to_json


def row_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of JSON, with its line feed."""
    text = json.dumps(to_json(row), ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


class RowFile:
    """Lines of a file that one process appends to.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[bytes]:
        """Whole lines on disk, without their ends; none if there is no file."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def data(self) -> bytes:
        """Whole lines on disk, with their ends."""
        return b"".join(line + b"\n" for line in self.lines())

    def drop_torn_line(self) -> None:
        """Cuts off a last line that a crash has left unfinished."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(self.path, whole)

    def append(self, lines: bytes) -> None:
        """Adds whole lines; what does not fit is taken back.

        Raises:
            StorageError: There is no room; what was there before is intact.
        """
        try:
            with open(self.path, "ab") as file:
                before = file.tell()
                try:
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self.path, before)
                    raise
        except OSError as error:
            raise not_written(self.path, error) from error

    def replace(self, lines: Iterable[bytes]) -> None:
        """Puts other lines in the place of all; they appear complete or not at all."""
        write_bytes(self.path, b"".join(lines))
