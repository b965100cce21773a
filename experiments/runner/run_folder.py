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
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.runner.episode_rows import Row, log_problem, parse_rows
from experiments.runner.folder_lock import LOCK, FolderLock
from experiments.runner.interruption import shielded
from experiments.runner.row_file import RowFile, row_line
from xr0_sim.atomic import remove_partials, replacing
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import read_run_card, run_card, to_json, write_run_card

CARD = "run.json"
EPISODES = "episodes.jsonl"
SUMMARY = "summary.json"
FIXED_VERSIONS = ("mujoco", "numpy", "torch", "transformers")
"""Packages whose version must not change within a folder."""


def fresh_folder(parent: str | Path, name: str) -> Path:
    """Makes and returns ``parent/name-N`` with the first free N from 1 on."""
    stem = re.sub(r"[^\w.=+-]+", "_", name).strip("_")
    number = 1
    while True:
        path = Path(parent) / f"{stem}-{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        except OSError as error:
            raise _cannot_be_made(path, error) from None
        return path


def make_folder(path: Path) -> None:
    """Makes a folder for results, or says in one line why there can be none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise _cannot_be_made(path, NotADirectoryError(0, "Not a directory")) from None
    except OSError as error:
        raise _cannot_be_made(path, error) from None


class RunFolder:
    """Results of one config; a context manager that notes how the run ended.

    Inside the context the folder belongs to this process alone.

    Args:
        path: Folder; made if missing.
        config: Resolved config, the identity of the folder.
        seeds: Requested seeds.
        renderer: OpenGL backend in use.

    Attributes:
        rows: Seed -> row, of the rows that their tick logs bear out.
        distrusted: Seed -> why its row on disk is not trusted; such a seed is a missing one.

    Raises:
        ConfigError: The folder holds results of another config or of other package versions, or
            another process is writing to it.
        DatasetError: A file of the folder is damaged in a way that running again cannot mend.
    """

    def __init__(self, path: str | Path, config: Any, seeds: Sequence[int], renderer: str) -> None:
        self.path = Path(path)
        self.rows: dict[int, Row] = {}
        self.distrusted: dict[int, str] = {}
        self._file = RowFile(self.path / EPISODES)
        self._lock = FolderLock(self.path)
        self._lock.check()
        self._card = run_card(config, seeds=seeds, renderer=renderer)
        card_path = self.path / CARD
        try:
            if card_path.exists():
                check_same(self.path, read_run_card(card_path), self._card)
            elif self.path.exists() and any(p.name != LOCK for p in self.path.iterdir()):
                raise ConfigError(
                    f"output folder {self.path}: expected an empty one or one with a {CARD}, got "
                    "other files; choose another --out"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_be_made(self.path, error) from None
        self._read_rows()

    def __enter__(self) -> RunFolder:
        """Takes the lock and writes the run card before the first episode."""
        self._lock.__enter__()
        try:
            remove_partials(self.path)
            self._file.drop_torn_line()
            self._read_rows()  # another process may have written since
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
        """Notes ``complete``, ``interrupted`` or ``failed``, with what is on disk."""
        with shielded():
            try:
                if kind is None:
                    missing = [seed for seed in self._card["seeds"] if seed not in self.rows]
                    self._write_card("incomplete" if missing else "complete")
                else:  # It may have come between a line of the file and its row here.
                    self._file.drop_torn_line()
                    self._read_rows()
                    interrupted = issubclass(kind, KeyboardInterrupt)
                    self._write_card("interrupted" if interrupted else "failed")
            finally:
                self._lock.__exit__(None, None, None)

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

    def _write_card(self, status: str) -> None:
        digests = {f"seed{seed}": self.rows[seed]["digest"] for seed in sorted(self.rows)}
        write_run_card({**self._card, "status": status, "digests": digests}, self.path / CARD)

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


def check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuses to continue a folder with another config or with other package versions.

    Args:
        path: The folder, for the message.
        old: Its run card.
        new: The run card of what shall run now.

    Raises:
        ConfigError: They differ.
    """
    pairs = [(old["config"], new["config"], "")]
    was_run, runs = (
        {name: card["versions"].get(name) for name in FIXED_VERSIONS} for card in (old, new)
    )
    pairs.append((was_run, runs, "version of "))
    for before, now, prefix in pairs:
        change = first_difference(before, to_json(now))
        if change is not None:
            name, was, wanted = change
            raise ConfigError(
                f"output folder {path}: holds a run with {prefix}{name} = {was}, now it "
                f"is {wanted}; choose another --out"
            )


def _cannot_be_made(path: Path, error: OSError) -> ConfigError:
    name = f"{str(path)[:80]}…" if len(str(path)) > 100 else str(path)
    return ConfigError(
        f"output folder {name}: expected one that can be made, got {error.strerror or error}; "
        "choose another name"
    )


def first_difference(old: Any, new: Any, name: str = "config") -> tuple[str, str, str] | None:
    """Dotted name and both values of the first difference of two JSON values, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = key if name == "config" else f"{name}.{key}"
            found = first_difference(old.get(key), new.get(key), inner)
            if found:
                return found
        return None
    return None if old == new else (name, json.dumps(old), json.dumps(new))


def joint_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the tick-log digests of all episodes and twins, in order of their seeds."""
    sha = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row["seed"]):
        sha.update(f"{row['seed']} {row['digest']} {row['twin_digest']}\n".encode())
    return sha.hexdigest()
