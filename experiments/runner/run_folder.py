"""A folder of results that can be continued but never overwritten.

::

    run.json         run card: config, versions, renderer, commit, status, digests
    episodes.jsonl   one line per finished episode, appended while running
    summary.json     figures of the requested episodes
    ticks/           tick logs, one file per episode and twin
    videos/          one file per episode, named with its outcome
    .lock            there while a process writes to the folder

Every row is borne out by tick logs: one whose log is missing, torn or of another digest is not
trusted, its seed runs again and the new row takes the place of the old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.runner.episode_rows import Row, log_problem, parse_rows
from experiments.runner.result_folder import ResultFolder
from experiments.runner.row_file import row_line
from xr0_sim.atomic import replacing
from xr0_sim.record.runcard import run_card, to_json

CARD = "run.json"
EPISODES = "episodes.jsonl"
SUMMARY = "summary.json"


class RunFolder(ResultFolder):
    """Results of one config, see `ResultFolder`.

    Args:
        path: Folder; made if missing.
        config: Resolved config, the identity of the folder.
        seeds: Requested seeds.
        renderer: OpenGL backend in use.

    Attributes:
        rows: Seed -> row, of the rows that their tick logs bear out.
        distrusted: Seed -> why its row on disk is not trusted; such a seed is a missing one.
    """

    card_name = CARD
    rows_name = EPISODES

    def __init__(self, path: str | Path, config: Any, seeds: Sequence[int], renderer: str) -> None:
        self.rows: dict[int, Row] = {}
        self.distrusted: dict[int, str] = {}
        super().__init__(path, run_card(config, seeds=seeds, renderer=renderer))

    def __enter__(self) -> RunFolder:
        """See `ResultFolder`."""
        super().__enter__()
        return self

    def missing(self, seeds: Iterable[int]) -> list[int]:
        """Requested seeds that have no row yet."""
        return [seed for seed in seeds if seed not in self.rows]

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a finished episode, in the place of a distrusted row if there is one.

        It is on disk before this returns.

        Raises:
            StorageError: There is no room; what was there before is intact.
        """
        line = row_line(row)
        if row["seed"] in self.distrusted:
            kept = [old for old in self._file.lines() if json.loads(old)["seed"] != row["seed"]]
            self._file.replace([*(old + b"\n" for old in kept), line])
            del self.distrusted[row["seed"]]
        else:
            self._file.append(line)
        self.rows[row["seed"]] = json.loads(line)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Writes ``summary.json``."""
        text = json.dumps(to_json(summary), indent=2, ensure_ascii=False, allow_nan=False)
        with replacing(self.path / SUMMARY) as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    def _complete(self) -> bool:
        return not self.missing(self._card["seeds"])

    def _told(self) -> Mapping[str, Any]:
        return {"digests": {f"seed{s}": self.rows[s]["digest"] for s in sorted(self.rows)}}

    def _read_rows(self) -> None:
        """Takes in the rows on disk and sets apart those that no tick log bears out."""
        rows = parse_rows(self._file.data(), self._file.path)
        known = {seed: row for seed, row in self.rows.items() if rows.get(seed) == row}
        problems = {
            seed: None if seed in known else log_problem(self.path, row)
            for seed, row in rows.items()
        }
        self.rows = {seed: row for seed, row in rows.items() if problems[seed] is None}
        self.distrusted = {seed: why for seed, why in problems.items() if why is not None}


def joint_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the tick-log digests of all episodes and twins, in order of their seeds."""
    sha = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row["seed"]):
        sha.update(f"{row['seed']} {row['digest']} {row['twin_digest']}\n".encode())
    return sha.hexdigest()


def named_digest(rows: Mapping[str, Sequence[Row]]) -> str:
    """One digest of several conditions, their names included.

    Args:
        rows: Name of a condition -> its rows, in order.
    """
    return joint_digest(
        {**row, "digest": f"{name} {row['digest']}"}
        for name, found in rows.items()
        for row in found
    )
