"""Checkpoints by name or path: where they lie, which heads they hold, which files these are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from assets import CHECKPOINT_DIR, checkpoint_names
from xr0_sim.errors import CheckpointError, unknown_name


@dataclass(frozen=True)
class Weights:
    """Which weights a policy runs and how it computes with them.

    Attributes:
        checkpoint: Shipped name or path.
        digest: Which files these were, see `checkpoint_digest`.
        head: Action-expert head.
        temperature: Factor on its flow noise; None for the policy's own.
        precision: Number format of the network.
        device: Where the network runs, as torch names it.
        vlm_weights: How the VLM's weights are kept.
        compile: Whether the Euler step is compiled.
    """

    checkpoint: str
    digest: str
    head: str
    temperature: float | None
    precision: str
    device: str
    vlm_weights: str
    compile: bool


def default_checkpoint(task: str) -> str:
    """Shipped checkpoint for a task: the one named after it."""
    names = checkpoint_names()
    fitting = [name for name in names if name.startswith(task)]
    if not fitting:
        raise CheckpointError(
            f"policy 'xr0': expected a shipped checkpoint named after env {task!r}, got "
            f"{', '.join(names) or 'none'}; train one, give --checkpoint PATH, or use --policy "
            "expert"
        )
    return fitting[0]


def find_checkpoint(name: str | Path | None) -> Path:
    """Directory of a checkpoint: a shipped name, a path, or for None the first shipped by name."""
    names = checkpoint_names()
    if name is None:
        if not names:
            raise CheckpointError(
                f"checkpoint: expected one in {CHECKPOINT_DIR}, found none; train one with "
                "xr0-sim train or name a directory"
            )
        return CHECKPOINT_DIR / names[0]
    for path in (CHECKPOINT_DIR / name, Path(name)):
        if (path / "config.json").is_file():
            return path
    raise unknown_name("checkpoint", str(name), [*names, "PATH"])


def checkpoint_heads(name: str | Path) -> list[str]:
    """Action-expert heads a checkpoint holds."""
    return sorted(p.parent.name for p in find_checkpoint(name).glob("heads/*/config.json"))


def checkpoint_digest(name: str | Path) -> str:
    """First 16 hex digits of the SHA-256 over a checkpoint's files, names included."""
    sha = hashlib.sha256()
    for file in sorted(find_checkpoint(name).rglob("*")):
        if file.is_file():
            sha.update(f"|{file.name}|".encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()[:16]
