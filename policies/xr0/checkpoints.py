"""Checkpoints by name or path: where they lie, which heads they hold, which files these are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from assets import CHECKPOINT_DIR, checkpoint_names
from xr0_sim.errors import CheckpointError, unknown_name
from xr0_sim.model.checkpoints.manifest import CORRECTION_DIR, HEADS_DIR, read_manifest
from xr0_sim.model.checkpoints.weight_files import INDEX_FILE, SINGLE_FILE
from xr0_sim.model.network_options import NetworkOptions

RELEASED_HEAD = "released"
"""Name of the one expert of a released checkpoint, in run cards and captions."""
READ_BYTES = 2**22
"""How much of a file is in memory while its digest is worked out."""
FIRST_WORLD = "0.1"
"""World of the checkpoints that were trained before worlds had names."""


@dataclass(frozen=True)
class Weights(NetworkOptions):
    """Network options with nothing left open: what a condition runs and its run card names.

    Attributes:
        digest: Which files these were, see `checkpoint_digest`.
        trained_window: Λ window that the head was trained with; None sees every earlier action.
    """

    digest: str = ""
    trained_window: int | None = None

    @property
    def label(self) -> str:
        """Head for captions, with a Λ window that is not the trained one, e.g. ``prefix Λ=2``."""
        if self.window is None or self.window == self.trained_window:
            return str(self.head)
        trained = "none" if self.trained_window is None else self.trained_window
        return f"{self.head} Λ={self.window} (trained: {trained})"


def default_checkpoint(task: str, world: str | None = None) -> str:
    """Shipped checkpoint for a task: the first by name that was trained in a world, else the first.

    Args:
        task: What it was trained for.
        world: Name of the world it is going to act in; None where that does not matter. Records
            that name none are of `FIRST_WORLD`.
    """
    names = checkpoint_names()
    found = {}
    for name in names:
        record = read_manifest(CHECKPOINT_DIR / name)
        if record is not None and record.task == task:
            found[name] = record.world or FIRST_WORLD
    if not found:
        raise CheckpointError(
            f"policy 'xr0': expected a shipped checkpoint trained for env {task!r}, got "
            f"{', '.join(names) or 'none'}; train one, give --checkpoint PATH, or use --policy "
            "oracle"
        )
    return next((name for name, trained in found.items() if trained == world), next(iter(found)))


def is_released(directory: Path) -> bool:
    """Whether a checkpoint has the released layout."""
    return any((directory / name).is_file() for name in (INDEX_FILE, SINGLE_FILE))


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
    """Action-expert heads a checkpoint holds; a released one has `RELEASED_HEAD`."""
    path = find_checkpoint(name)
    if is_released(path):
        return [RELEASED_HEAD]
    return sorted(found.parent.name for found in path.glob("heads/*/config.json"))


def checkpoint_digest(name: str | Path) -> str:
    """First 16 hex digits of the SHA-256 over a checkpoint's files, names included.

    A correction head (`xr0_sim.model.correction.files`) is left out: chunks do not depend on it, so
    run cards from before it was added still name these weights. It has digests of its own.
    """
    sha, part = hashlib.sha256(), memoryview(bytearray(READ_BYTES))
    path = find_checkpoint(name)
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.relative_to(path).parts[0] != CORRECTION_DIR:
            sha.update(f"|{file.name}|".encode())
            with file.open("rb", buffering=0) as stream:
                while size := stream.readinto(part):
                    sha.update(part[:size])
    return sha.hexdigest()[:16]


def head_digest(name: str | Path, head: str) -> str:
    """Like `checkpoint_digest`, of the files alone that one head's chunks come from.

    Another head beside it changes nothing of them. Checkpoints that keep no record of their heads
    are taken whole.
    """
    own = read_manifest(find_checkpoint(name) / HEADS_DIR / head)
    if own is None:
        return checkpoint_digest(name)
    files = json.dumps([dict(own.files), dict(own.needs)], sort_keys=True)
    return hashlib.sha256(files.encode()).hexdigest()[:16]
