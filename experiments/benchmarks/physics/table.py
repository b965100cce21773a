"""The table of ``xr0-sim bench physics`` for one level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks.physics.figure import Figure, median
from experiments.benchmarks.physics.limits import FIGURES, SUCCESS
from experiments.benchmarks.report import Measure
from xr0_sim.metrics.statistics import wilson


def measures(
    task: str,
    env_kwargs: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    factor: float | None,
) -> list[Measure]:
    """The table of a level.

    Args:
        task: Name of the task.
        env_kwargs: Its arguments.
        rows: Figures of the episodes.
        factor: Real-time factor that its physics is held to, or None.
    """
    found = [_success(task, env_kwargs, rows)]
    found += [m for m in (figure.measure(rows) for figure in FIGURES) if m is not None]
    speed = Figure(
        "physics_real_time_factor",
        "real-time factor of the physics alone",
        over=median,
        limit=factor,
        sense="at least",
        reason="as in bench env",
    ).measure(rows)
    return [*found, speed] if speed else found


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
