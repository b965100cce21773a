"""What folders of results have in common: one config, one process at a time, a card that tells."""

from __future__ import annotations

import abc
import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from experiments.runner.folder_lock import LOCK, FolderLock
from experiments.runner.interruption import shielded
from experiments.runner.row_file import RowFile
from xr0_sim.atomic import remove_partials
from xr0_sim.errors import ConfigError, Xr0SimError
from xr0_sim.record.runcard import read_run_card, to_json, write_run_card

FIXED_VERSIONS = ("mujoco", "numpy", "torch", "transformers")
"""Packages whose version must not change within a folder."""


class ResultFolder(abc.ABC):
    """Rows of one config; a context manager that notes how the run ended.

    Inside the context the folder belongs to this process alone.

    Args:
        path: Folder; made if missing.
        card: Run card: its ``config`` is the identity of the folder.

    Raises:
        ConfigError: The folder holds results of another config or of other package versions, or
            another process is writing to it.
        DatasetError: A file of the folder is damaged in a way that running again cannot mend.
    """

    card_name: ClassVar[str]
    rows_name: ClassVar[str]

    def __init__(self, path: str | Path, card: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._card = dict(card)
        self._file = RowFile(self.path / self.rows_name)
        self._lock = FolderLock(self.path)
        self._lock.check()
        self._own: set[str] = set()
        card_path = self.path / self.card_name
        try:
            if card_path.exists():
                check_same(self.path, read_run_card(card_path), self._card)
            elif self.path.exists() and any(p.name != LOCK for p in self.path.iterdir()):
                raise ConfigError(
                    f"output folder {self.path}: expected an empty one or one with a "
                    f"{self.card_name}, got other files; choose another --out"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_be_made(self.path, error) from None
        self._read_rows()

    def __enter__(self) -> ResultFolder:
        """Takes the lock and writes the card before the first episode."""
        self._lock.__enter__()
        try:
            remove_partials(self.path)
            self._file.drop_torn_line()
            self._read_rows()  # another process may have written since
            empty = not self._names()
            self._begin()
            self._write_card("running")
            self._own = self._names() if empty else set()
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
        """Notes ``complete``, ``incomplete``, ``interrupted`` or ``failed``.

        A new folder whose run was refused before its first row is taken away again, so that the
        same ``--out`` is free for the command as it should be.
        """
        with shielded():
            try:
                if kind is not None and issubclass(kind, Xr0SimError) and self._untouched():
                    self._withdraw()
                elif kind is None:
                    self._write_card("complete" if self._complete() else "incomplete")
                else:  # It may have come between a line of the file and its row here.
                    self._file.drop_torn_line()
                    self._read_rows()
                    interrupted = issubclass(kind, KeyboardInterrupt)
                    self._write_card("interrupted" if interrupted else "failed")
            finally:
                self._lock.__exit__(None, None, None)

    def _names(self) -> set[str]:
        return {entry.name for entry in self.path.iterdir()} - {LOCK}

    def _untouched(self) -> bool:
        """Whether there is nothing here but what this run wrote before its first row."""
        return bool(self._own) and self._names() == self._own and not self._file.data()

    def _withdraw(self) -> None:
        for name in self._own:
            (self.path / name).unlink()
        self._lock.__exit__(None, None, None)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @abc.abstractmethod
    def _read_rows(self) -> None:
        """Takes in the rows on disk."""

    @abc.abstractmethod
    def _complete(self) -> bool:
        """Whether nothing that was asked for is missing."""

    def _begin(self) -> None:  # noqa: B027  (most have nothing to do)
        """What else is done before the first episode, with the lock held."""

    def _told(self) -> Mapping[str, Any]:
        """What the card says besides its status."""
        return {}

    def _write_card(self, status: str) -> None:
        card = {**self._card, "status": status, **self._told()}
        write_run_card(card, self.path / self.card_name)


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
