"""The table of ``xr0-sim bench physics`` for one level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks.physics.limits import FIGURES, SUCCESS
from experiments.benchmarks.report import Measure
from xr0_sim.metrics.statistics import wilson


def measures(
    task: str, env_kwargs: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[Measure]:
    """The table of a level.

    Args:
        task: Name of the task.
        env_kwargs: Its arguments.
        rows: Figures of the episodes.
    """
    found = [figure.measure(rows) for figure in FIGURES]
    return [_success(task, env_kwargs, rows), *(m for m in found if m is not None)]


def _success(
    task: str, env_kwargs: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Measure:
    done = sum(bool(row["success"]) for row in rows if "success" in row)
    n = sum("success" in row for row in rows)
    rate = wilson(done, n)
    limit = SUCCESS.get(task)
    return Measure(
        "success",
        "success of the expert",
        100.0 * done / n,
        "%",
        low=100.0 * rate.low,
        high=100.0 * rate.high,
        n=n,
        target=None if limit is None else limit(env_kwargs),
        sense="reaches",
        reason="what demonstrations are worth; the upper end of the interval must reach it",
    )
