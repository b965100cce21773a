"""What the processes of a real-time run hold: memory and open descriptors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.benchmarks.report import Measure


@dataclass(frozen=True)
class Resources:
    """What processes hold at one time.

    Attributes:
        memory_mb: Resident memory [MB].
        descriptors: Open descriptors.
    """

    memory_mb: float
    descriptors: int


def resources_of(*processes: int | None) -> Resources | None:
    """Sum over the processes that are named by number; None where the system does not tell."""
    memory, descriptors = 0.0, 0
    try:
        for process in processes:
            if process is None:
                continue
            with open(f"/proc/{process}/statm") as file:
                memory += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
            descriptors += len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return None
    return Resources(memory, descriptors)


def gained(held: Sequence[Resources | None]) -> list[Measure]:
    """What was gained from the end of the first episode to the end of the last one.

    The first episode fills what is made once: renderer, weights, tables. Where the system does not
    tell, or one episode was run, there is nothing to report.

    Args:
        held: At the end of every episode.
    """
    told = [each for each in held if each is not None]
    if len(told) < 2:
        return []
    first, middle, last = told[0], told[len(told) // 2], told[-1]
    more = len(told) - 1
    most = max(each.memory_mb for each in told)
    return [
        Measure("memory", "memory at the end of the first episode", first.memory_mb, "MB"),
        Measure(
            "memory_gained",
            "gained since, both processes",
            last.memory_mb - first.memory_mb,
            "MB",
            n=more,
        ),
        Measure(
            "memory_gained_late",
            "of it in the second half of the episodes",
            last.memory_mb - middle.memory_mb,
            "MB",
            n=len(told) - 1 - len(told) // 2,
        ),
        Measure("memory_most", "most at the end of an episode", most, "MB", n=len(told)),
        Measure(
            "descriptors",
            "descriptors gained since the first episode",
            last.descriptors - first.descriptors,
            n=more,
            target=0,
        ),
    ]
