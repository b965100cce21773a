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
from typing import Any

from experiments.runner.episode_rows import Row, rows_by
from experiments.runner.result_folder import ResultFolder
from experiments.runner.row_file import RowFile, row_line
from experiments.study.jobs import Key
from xr0_sim.errors import DatasetError

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


class StudyFolder(ResultFolder):
    """A folder that one study appends to, see `ResultFolder`.

    Args:
        path: Folder; made if missing.
        card: Run card of the study: its ``config`` is the identity of the folder.

    Attributes:
        rows: (condition, seed) -> row.
    """

    card_name = CARD
    rows_name = ROWS

    def __init__(self, path: str | Path, card: Mapping[str, Any]) -> None:
        self.rows: dict[Key, Row] = {}
        super().__init__(path, card)

    def __enter__(self) -> StudyFolder:
        """See `ResultFolder`."""
        super().__enter__()
        return self

    def append(self, rows: Iterable[Row]) -> None:
        """Adds the rows of a job; they are on disk, all or none, before this returns.

        A row that is there already stays.

        Raises:
            DatasetError: One that is there came out otherwise.
        """
        rows = list(rows)
        for row in rows:
            known = self.rows.get(row_key(row), row)
            if known["digest"] != row["digest"]:
                raise DatasetError(
                    f"study {self.path}: expected the row of {row['condition']}, seed "
                    f"{row['seed']}, again, got digest {row['digest'][:16]} for "
                    f"{known['digest'][:16]}; use the versions and weights that {CARD} names"
                )
        new = [row for row in rows if row_key(row) not in self.rows]
        lines = [row_line(row) for row in new]
        if lines:
            self._file.append(b"".join(lines))
            self.rows |= {
                row_key(row): json.loads(line) for row, line in zip(new, lines, strict=True)
            }

    def _read_rows(self) -> None:
        self.rows = read_rows(self.path)

    def _begin(self) -> None:
        if self.rows and not self._file.path.exists():  # a published study holds its table alone
            self._file.replace(row_line(row) for row in self.rows.values())

    def _complete(self) -> bool:
        return True  # a study ends without an exception only when every row is there
