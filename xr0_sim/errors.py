"""One exception root; every message says what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class Xr0SimError(Exception):
    """Root of every error this project raises on purpose."""


class ConfigError(Xr0SimError, ValueError):
    """A value a user gave does not fit; the message names the alternatives."""


class CheckpointError(Xr0SimError):
    """A weight or tokenizer file is missing, truncated or of the wrong layout."""


class DatasetError(Xr0SimError):
    """A demonstration or feature file is missing, truncated or of the wrong layout."""


class StorageError(Xr0SimError, OSError):
    """A file could not be written, most often for want of room."""


class RenderError(Xr0SimError):
    """No usable OpenGL backend, or rendering failed."""


class InvalidEpisodeError(Xr0SimError):
    """Something happened after which an episode says nothing about its policy."""


class SimulationError(InvalidEpisodeError):
    """The physics broke (a number that is not finite, a solver error): the episode is invalid."""


class PlantLostError(SimulationError):
    """A simulator in another process has died, is stuck or broke: the episode is invalid."""


class PolicyLostError(InvalidEpisodeError):
    """A policy in another process no longer answers: the episode is invalid."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What an `OSError` says where nothing more fits."""
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
"""What it says where a file stands in a folder's place."""
NOT_WRITABLE = (*NO_ROOM, *NO_FOLDER, errno.EROFS, errno.ENAMETOOLONG)
"""Reasons why nothing can be written at a place."""

LONGEST_SHOWN = 200
"""Characters of a path that a message shows."""


def not_written(path: object, error: OSError) -> StorageError:
    """Builds the error for a file that could not be written; an earlier one is still there."""
    todo = "make the folder writable"
    if error.errno in NO_ROOM:
        todo = "free some room"
    elif error.errno in NO_FOLDER:
        todo = "name a folder"
    elif error.errno == errno.ENAMETOOLONG:
        todo = "choose a shorter name"
    name = str(path)
    if len(name) > LONGEST_SHOWN:
        name = f"{name[:LONGEST_SHOWN]}…"
    return StorageError(
        f"{name}: expected to write it, got {error.strerror or error}; what was there before is "
        f"intact, {todo} and run the same command again"
    )


def unknown_name(kind: str, got: object, available: Iterable[str]) -> ConfigError:
    """Builds the error for a name that is not in a table, with the nearest match.

    Args:
        kind: What the name stands for, e.g. "latency preset".
        got: The name that was asked for.
        available: The names that exist.
    """
    names = sorted(available)
    near = difflib.get_close_matches(str(got), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(f"unknown {kind} {got!r}: {hint}available: {', '.join(names)}")
