"""The run card: everything needed to repeat a run, beside its results."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from xr0_sim.atomic import replacing
from xr0_sim.errors import DatasetError
from xr0_sim.fields import NEWER
from xr0_sim.record.processor import processor_kind

FORMAT_VERSION = 1
ENTRIES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "versions": (dict, "an object"),
    "seeds": (list, "a list"),
    "config": ((dict, list), "an object"),
    "digests": (dict, "an object"),
}
"""Entries that every run card has -> their types, in words too."""
PACKAGES = ("xr0-sim", "numpy", "mujoco", "gymnasium", "torch", "transformers")


def to_json(value: Any) -> Any:
    """Plain JSON form of a config: dataclasses become objects with their class as ``type``.

    Fields marked `xr0_sim.fields.NEWER` are left out at their default, so that older cards stay
    equal.
    """
    if is_dataclass(value) and not isinstance(value, type):
        inner = {
            field.name: to_json(getattr(value, field.name))
            for field in fields(value)
            if not (field.metadata == NEWER and getattr(value, field.name) == field.default)
        }
        return {"type": type(value).__name__, **inner}
    if isinstance(value, Mapping):
        return {_text(str(key)): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [to_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(str(value))


def _text(value: str) -> str:
    """Text that UTF-8 can hold; the bytes of a file name that is none are escaped."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result, without importing them."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def source_commit(file: str | Path = __file__) -> str:
    """Commit of the tree that tracks ``file``, with ``+changes`` if tracked files differ.

    Returns:
        ``unknown`` if no repository tracks the file, e.g. for an installed package.
    """
    file = Path(file)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(file.parent), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def run_card(
    config: Any,
    *,
    seeds: Sequence[int],
    renderer: str,
    command: Sequence[str] | None = None,
    digests: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Collects a run card.

    Args:
        config: Resolved config: a dataclass, a mapping or a list of them.
        seeds: Episode seeds.
        renderer: OpenGL back end in use, e.g. ``"egl"``, or ``"none"``.
        command: Command line; by default that of this process.
        digests: Tick-log digest per episode, by name.
    """
    return {
        "format": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.argv if command is None else command),
        "commit": source_commit(),
        "versions": installed_versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor_kind(),
        "renderer": renderer,
        "seeds": to_json(list(seeds)),
        "config": to_json(config),
        "digests": dict(digests or {}),
    }


def write_run_card(card: Mapping[str, Any], path: str | Path) -> None:
    """Writes JSON; the file appears complete or not at all."""
    text = json.dumps(to_json(card), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_run_card(path: str | Path) -> dict[str, Any]:
    """Reads a file of `write_run_card`."""
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"run card {path}: expected readable JSON; {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT_VERSION:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise DatasetError(f"run card {path}: expected format {FORMAT_VERSION}, got {found}")
    for name, (kind, wanted) in ENTRIES.items():
        if not isinstance(card.get(name), kind):
            raise DatasetError(
                f"run card {path}: expected {name} as {wanted}, got "
                f"{json.dumps(card.get(name))[:60]}; restore the file, or choose another folder"
            )
    return card
