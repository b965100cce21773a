"""The folder of a training: its files, and whether it is the one that is to go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from xr0_sim.atomic import remove_partials, write_bytes, write_json
from xr0_sim.errors import ConfigError

AGENT_FILE, CHECKPOINT_FILE, CURVE_FILE = (
    "agent.safetensors",
    "checkpoint.safetensors",
    "curve.jsonl",
)
CONFIG_FILE, DEMO_FILE = "config.json", "demonstrations.safetensors"
ROUND_FILE = "round_{:02d}.safetensors"


def claim(options: dict[str, Any], free: Collection[str], folder: Path) -> None:
    """Notes the options in a new folder, or compares all but the free ones with an old one's.

    Raises:
        ConfigError: The folder is of another training, or of something else.
    """
    path = folder / CONFIG_FILE
    options = json.loads(json.dumps(options))
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            known = None
        if not isinstance(known, dict):
            raise ConfigError(f"{path}: expected the options of a training; use another folder")
        other = [k for k, v in options.items() if k not in free and known.get(k) != v]
        if other:
            raise ConfigError(
                f"{folder}: expected a training with the same options, got other "
                f"{', '.join(other)}; use another --out"
            )
        remove_partials(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: expected an empty folder or a training of this command")
    write_json(path, options)


def cut_curve(folder: Path, keeps: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Drops points of the curve that a training which goes on makes again; returns the others."""
    path = folder / CURVE_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    points = [json.loads(line) for line in lines if line.endswith("\n")]
    kept = [point for point in points if keeps(point)]
    write_bytes(path, "".join(json.dumps(point) + "\n" for point in kept).encode())
    return kept
