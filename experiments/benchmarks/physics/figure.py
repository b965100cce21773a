"""A figure of ``xr0-sim bench physics``: from what the episodes saw to one number and its limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.benchmarks.report import Measure

LATE = 1.15
"""A clutch that carried more than this many times its limit opened late."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: Key in the JSON form.
        label: What people read.
        unit: Its unit; "%" shows a share in percent.
        of: Key in the episodes' rows; the name itself if empty.
        over: From the values of all episodes, or of all their samples, to one.
        limit: What it is held to; None for information only.
        sense: Which side of the limit is good.
        reason: Where the limit comes from.
    """

    name: str
    label: str
    unit: str = ""
    of: str = ""
    over: Callable[[Sequence[float]], float] = max
    limit: float | None = None
    sense: Literal["at most", "at least"] = "at most"
    reason: str = ""

    def measure(self, rows: Sequence[Mapping[str, Any]]) -> Measure | None:
        """The figure over some episodes; None where none of them has it."""
        values = [row[self.of or self.name] for row in rows if (self.of or self.name) in row]
        samples = [v for value in values for v in (value if isinstance(value, list) else [value])]
        if not samples:
            return None
        scale = 100.0 if self.unit == "%" else 1.0
        return Measure(
            self.name,
            self.label,
            scale * float(self.over(samples)),
            self.unit,
            n=len(samples),
            target=self.limit,
            sense=self.sense,
            reason=self.reason,
        )


def median(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(values))


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return float(np.percentile(values, 95))


def share_late(loads: Sequence[float]) -> float:
    """Share of loads, in units of a clutch's limit, above `LATE`."""
    return float(np.mean(np.array(loads) > LATE))


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return float(np.mean(values))
