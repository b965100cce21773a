"""The folder of a study: rows are appended while it runs, and frozen when it is complete.

::

    study.json      card: design, conditions, versions, commit, digests of weights, seeds, status
    rows.jsonl      one line per episode, appended while running
    rows.parquet    the same as one table, see `experiments.study.schema`
    validity.csv    invalid episodes and why
    manifest.json   digests of the table and of every condition, to compare another run with
    ticks/          tick logs, if asked for
    .lock           there while a process writes to the folder
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.runner.episode_rows import Row, rows_by
from experiments.runner.folder_lock import LOCK, FolderLock
from experiments.runner.interruption import shielded
from experiments.runner.row_file import RowFile, row_line
from experiments.runner.run_folder import check_same, make_folder
from experiments.study.jobs import Key
from xr0_sim.atomic import remove_partials
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.record.runcard import read_run_card, write_run_card

CARD = "study.json"
ROWS = "rows.jsonl"
TABLE = "rows.parquet"
VALIDITY = "validity.csv"
MANIFEST = "manifest.json"
TICKS = "ticks"


def row_key(row: Row) -> Key:
    """What tells rows of a study apart."""
    name = row.get("condition")
    if not isinstance(name, str):
        raise DatasetError(f"row of seed {row['seed']}: expected the name of a condition, got none")
    return name, int(row["seed"])


def read_rows(folder: Path) -> dict[Key, Row]:
    """Rows of a folder, from its lines or, where only that was published, from its table."""
    file = RowFile(folder / ROWS)
    if not file.path.exists() and (folder / TABLE).exists():
        from experiments.study.schema import read_table

        return {row_key(row): row for row in read_table(folder / TABLE)}
    return rows_by(file.data(), file.path, row_key)


class StudyFolder:
    """A folder that one study appends to; a context manager that notes how the run ended.

    Args:
        path: Folder; made if missing.
        card: Run card of the study: its ``config`` is the identity of the folder.

    Attributes:
        rows: (condition, seed) -> row.

    Raises:
        ConfigError: The folder holds another study or one of other package versions, or another
            process is writing to it.
    """

    def __init__(self, path: str | Path, card: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.rows: dict[Key, Row] = {}
        self._card = dict(card)
        self._file = RowFile(self.path / ROWS)
        self._lock = FolderLock(self.path)
        self._lock.check()
        if (self.path / CARD).exists():
            check_same(self.path, read_run_card(self.path / CARD), self._card)
        elif self.path.exists() and any(p.name != LOCK for p in self.path.iterdir()):
            raise ConfigError(
                f"output folder {self.path}: expected an empty one or one with a {CARD}, got "
                "other files; choose another --out"
            )
        make_folder(self.path)
        self.rows = read_rows(self.path)

    def __enter__(self) -> StudyFolder:
        """Takes the lock and writes the card before the first episode."""
        self._lock.__enter__()
        try:
            remove_partials(self.path)
            self._file.drop_torn_line()
            self.rows = read_rows(self.path)  # another process may have written since
            if self.rows and not self._file.path.exists():
                self._file.replace(row_line(row) for row in self.rows.values())
            self._write_card("running")
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Notes ``complete``, ``interrupted`` or ``failed``."""
        with shielded():
            try:
                interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
                status = "complete" if kind is None else "interrupted" if interrupted else "failed"
                self._write_card(status)
            finally:
                self._lock.__exit__(None, None, None)

    def append(self, rows: Iterable[Row]) -> None:
        """Adds the rows of a job; they are on disk, all or none, before this returns."""
        new = [row for row in rows if row_key(row) not in self.rows]
        lines = [row_line(row) for row in new]
        if lines:
            self._file.append(b"".join(lines))
            self.rows |= {
                row_key(row): json.loads(line) for row, line in zip(new, lines, strict=True)
            }

    def _write_card(self, status: str) -> None:
        write_run_card({**self._card, "status": status}, self.path / CARD)
