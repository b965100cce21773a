"""Latencies that were measured: one column of a CSV file, replayed inference by inference."""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.registry import latencies
from xr0_sim.runtime.latency.base import LatencyContext

COLUMNS = {"latency_ms": 1e-3, "latency_s": 1.0}
"""Columns that are looked for, with the seconds in one unit."""
SCALES = {"ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Trace(CheckedFields):
    """The n-th inference of an episode takes the n-th latency of the file, from the start again.

    Attributes:
        path: CSV file with a header.
        column: Column to read; "" for ``latency_ms`` or ``latency_s``.
        unit: Unit of that column, ``ms`` or ``s``; "" for the ending of its name.
        shuffle: Draw an entry at random instead, by the episode's own stream.
        digest: First 16 hex digits of the SHA-256 of the file, filled in: run cards tell one
            content from another; a digest that is given has to be the file's.
    """

    path: str
    column: str = ""
    unit: Literal["", "ms", "s"] = ""
    shuffle: bool = False
    digest: str = ""

    def __post_init__(self) -> None:
        """Reads the file, so that what is wrong with it is said before anything runs."""
        _seconds(self.path, self.column, self.unit)
        found = sha256(Path(self.path).expanduser().read_bytes()).hexdigest()[:16]
        if self.digest not in ("", found):
            raise ConfigError(
                f"latency trace {self.path}: expected the file with digest {self.digest}, got "
                f"{found}; put back the file, or leave the digest out"
            )
        object.__setattr__(self, "digest", found)

    @property
    def label(self) -> str:
        """For example ``trace mine.csv (mean 82 ms)``."""
        seconds = _seconds(self.path, self.column, self.unit)
        return f"trace {Path(self.path).name} (mean {1e3 * sum(seconds) / len(seconds):.3g} ms)"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Latency [s] of an inference."""
        seconds = _seconds(self.path, self.column, self.unit)
        index = int(rng.integers(len(seconds))) if self.shuffle else context.number % len(seconds)
        return seconds[index]


@functools.lru_cache(maxsize=16)
def _seconds(path: str, column: str, unit: str) -> tuple[float, ...]:
    """Latencies of a file [s]."""
    file = Path(path).expanduser()
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
            names = list(rows[0]) if rows else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"latency trace {path}: expected a readable CSV file; {error}") from None
    if not rows:
        raise ConfigError(f"latency trace {path}: expected a header and at least one row, got none")
    chosen = column or next((name for name in COLUMNS if name in names), "")
    if chosen not in names:
        wanted = repr(column) if column else " or ".join(COLUMNS)
        raise ConfigError(
            f"latency trace {path}: expected a column {wanted}, got {', '.join(map(str, names))}; "
            "write trace:path=FILE,column=NAME,unit=ms"
        )
    scale = SCALES.get(unit) or _scale_of(chosen, path)
    found = []
    for line, row in enumerate(rows, start=2):
        text = row[chosen]
        try:
            seconds = float(text) * scale
        except (TypeError, ValueError):
            seconds = math.nan
        if not math.isfinite(seconds) or seconds < 0:
            raise ConfigError(
                f"latency trace {path}, line {line}: expected a number >= 0, got {text!r}"
            )
        found.append(seconds)
    return tuple(found)


def _scale_of(column: str, path: str) -> float:
    """Seconds in one unit of a column, from the ending of its name."""
    for ending, scale in SCALES.items():
        if column.endswith(f"_{ending}"):
            return scale
    raise ConfigError(
        f"latency trace {path}: expected the unit of column {column!r}; write unit=ms or unit=s"
    )


latencies.add("trace", Trace, "measured latencies from a CSV file")
