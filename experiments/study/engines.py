"""Where the jobs of a study run: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager

from experiments.runner.pool import TaskPool
from experiments.study.running import Engine
from xr0_sim.errors import ConfigError, unknown_name

ENGINES = ("pool", "ray")
DEATHS = 3
"""How often in a row workers may die under their jobs before a study gives up; chosen."""


def engine_of(
    name: str, workers: int, address: str | None = None
) -> AbstractContextManager[Engine]:
    """An engine by its name.

    Args:
        name: One of `ENGINES`.
        workers: Processes at a time.
        address: Of a Ray cluster; None starts one on this machine.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == "pool":
        if address is not None:
            raise ConfigError("--address: expected --engine ray with it; leave it out")
        return TaskPool(workers, deaths=DEATHS)
    from experiments.study.ray_engine import RayEngine

    return RayEngine(workers, address)
