"""A folder of results that can be continued but never overwritten.

::

    run.json         run card: config, versions, renderer, commit, status, digests
    episodes.jsonl   one line per finished episode, appended while running
    summary.json     figures of the requested episodes
    ticks/           tick logs, one file per episode and twin
    videos/          one file per episode, named with its outcome
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from xr0_sim.atomic import replacing
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
            raise ConfigError(f"output folder {path}: cannot be made; {error}") from None
        return path


class RunFolder:
    """Results of one config; a context manager that notes how the run ended.

    Args:
        path: Folder; made if missing.
        config: Resolved config, the identity of the folder.
        seeds: Requested seeds.
        renderer: OpenGL backend in use.

    Raises:
        ConfigError: The folder holds results of another config or of other package versions.
    """

    def __init__(self, path: str | Path, config: Any, seeds: Sequence[int], renderer: str) -> None:
        self.path = Path(path)
        self._card = run_card(config, seeds=seeds, renderer=renderer)
        card_path = self.path / CARD
        if card_path.exists():
            self._check_same(read_run_card(card_path))
        elif self.path.exists() and any(self.path.iterdir()):
            raise ConfigError(
                f"output folder {self.path}: expected an empty one or one with a {CARD}, got "
                "other files; choose another --out"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"output folder {self.path}: cannot be made; {error}") from None
        self.rows = self._rows_on_disk()

    def __enter__(self) -> RunFolder:
        """Writes the run card before the first episode."""
        self._write_card("running")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Notes ``complete``, ``interrupted`` or ``failed``, with what is on disk."""
        if kind is None:
            missing = [seed for seed in self._card["seeds"] if seed not in self.rows]
            self._write_card("incomplete" if missing else "complete")
        else:  # It may have come between a line of the file and its row here.
            self.rows = self._rows_on_disk()
            self._write_card("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")

    def missing(self, seeds: Iterable[int]) -> list[int]:
        """Requested seeds that have no row yet."""
        return [seed for seed in seeds if seed not in self.rows]

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a finished episode; on disk before it returns."""
        line = json.dumps(to_json(row), ensure_ascii=False, allow_nan=False) + "\n"
        with open(self.path / EPISODES, "ab") as file:
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        self.rows[row["seed"]] = json.loads(line)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Writes ``summary.json``."""
        text = json.dumps(to_json(summary), indent=2, ensure_ascii=False, allow_nan=False)
        with replacing(self.path / SUMMARY) as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    def _write_card(self, status: str) -> None:
        digests = {f"seed{seed}": self.rows[seed]["digest"] for seed in sorted(self.rows)}
        write_run_card({**self._card, "status": status, "digests": digests}, self.path / CARD)

    def _rows_on_disk(self) -> dict[int, dict[str, Any]]:
        """Rows by seed; a last line that was cut off by a crash is dropped from the file."""
        path = self.path / EPISODES
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        try:
            rows = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
        except ValueError as error:
            raise ConfigError(f"{path}: expected one JSON object per line; {error}") from None
        return {row["seed"]: row for row in rows}

    def _check_same(self, old: Mapping[str, Any]) -> None:
        new = self._card
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
                    f"output folder {self.path}: holds a run with {prefix}{name} = {was}, now it "
                    f"is {wanted}; choose another --out"
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
