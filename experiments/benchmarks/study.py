"""``xr0-sim bench study``: what a study costs, against running every condition by itself."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from experiments.options.task_options import TaskOptions
from experiments.runner.episode_run import EpisodeTask
from experiments.runner.seed_run import run_seed
from experiments.study.engines import ENGINES
from experiments.study.study import Study
from xr0_sim.errors import ConfigError

EVENTS = {
    "block_dismantling": (
        *("shove", "shove_brick", "teleport", "teleport_brick"),
        *("swap_bins", "move_light", "move_camera", "freeze_base"),
    ),
    "towel_folding": (
        *("towel_shove", "gust", "obstacle", "corner_slip"),
        *("towel_teleport", "move_light", "move_camera", "freeze_base"),
    ),
}
"""Events of a study of eight: every kind a task has, at its default trigger."""


@dataclass(frozen=True)
class BenchStudyConfig(TaskOptions):
    """Measures a study of several events: CPU time against whole episodes, overhead, scaling.

    Both ways run in this process, one after the other, and have to give the same digests.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        policy: A policy without weights.
        events: Events, a condition each; default: eight kinds at their default triggers.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level.
        episodes: Seeds.
        seed: Seed of the first.
        scaling: Seeds of a study without events over 1 and 2 workers; 0 leaves that out.
        engines: Engines of that study.
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    policy: str = "oracle"
    events: tuple[str, ...] = ()
    max_seconds: float | None = None
    episodes: int = 2
    seed: int = 0
    scaling: int = 0
    engines: tuple[str, ...] = ("pool",)
    json: bool = False


def run(config: BenchStudyConfig) -> int:
    """Measures, prints, returns the exit status."""
    unknown = [name for name in config.engines if name not in ENGINES]
    if unknown or config.episodes < 1 or config.scaling < 0:
        raise ConfigError(
            f"--engines, --episodes, --scaling: expected {' or '.join(ENGINES)}, >= 1 and >= 0, "
            f"got {', '.join(config.engines)}, {config.episodes} and {config.scaling}"
        )
    found: dict[str, Any] = {}
    for part in (events_cost, scaling):
        figures = part(config)
        found |= figures
        for name, value in () if config.json else figures.items():
            told = f"{value:.4g}" if isinstance(value, float) else f"{value}"
            print(f"{name:<44} {told}", flush=True)
    if config.json:
        print(json.dumps(found))
    return 0


def events_cost(config: BenchStudyConfig) -> dict[str, Any]:
    """CPU time of a study of events, by itself and as whole episodes."""
    if config.task not in EVENTS and not config.events:
        raise ConfigError(f"--events: expected some for task {config.task!r}, got none")
    events = config.events or EVENTS[config.task]
    seeds = range(config.seed, config.seed + config.episodes)
    study = _study(config, {"event": list(events)}, seeds)
    conditions = study.resolved()
    warm_up = next(iter(conditions.values()))
    run_seed(EpisodeTask(warm_up.undisturbed, config.seed))
    with tempfile.TemporaryDirectory() as folder:
        shared_s, wall_s = _timed(lambda: _quiet(study, Path(folder) / "study"))
    tasks = [
        (name, EpisodeTask(condition, seed, branch=False))
        for name, condition in conditions.items()
        for seed in seeds
    ]
    whole: dict[tuple[str, int], str] = {}

    def run_whole() -> None:
        for name, task in tasks:
            whole[name, task.seed] = run_seed(task)["digest"]

    whole_s, _ = _timed(run_whole)
    same = {(row["condition"], row["seed"]): row["digest"] for row in study.rows} == whole
    in_jobs_s = sum(row["cpu_s"] for row in study.rows)
    rows = len(study.rows)
    return {
        "rows": rows,
        "rows per CPU minute, whole episodes": 60 * rows / whole_s,
        "rows per CPU minute, study": 60 * rows / shared_s,
        "study / whole episodes": whole_s / shared_s,
        "overhead of the study, share of episode cost": shared_s / in_jobs_s - 1.0,
        "CPU share of the wall clock": shared_s / wall_s,
        "same digests": same,
    }


def scaling(config: BenchStudyConfig) -> dict[str, Any]:
    """Wall time of a study without events by engine and workers, start-up included."""
    if not config.scaling:
        return {}
    seeds = range(config.seed, config.seed + config.scaling)
    walls: dict[tuple[str, int], float] = {}
    for engine in config.engines:
        # One worker of another engine than the first would cost as much and tell nothing more.
        for workers in (1, 2) if engine == config.engines[0] else (2,):
            study = _study(config, {"event": ["none"]}, seeds)
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "study"
                _, walls[engine, workers] = _timed(
                    lambda: _quiet(study, place, workers=workers, engine=engine)  # noqa: B023
                )
            wall = walls[engine, workers]
            print(f"{engine}, {workers} workers: {wall:.1f} s", file=sys.stderr, flush=True)
    found: dict[str, Any] = {}
    first = config.engines[0]
    found[f"{first}, 1 worker: wall s"] = walls[first, 1]
    for engine in config.engines:
        found[f"{engine}, 2 workers: wall s"] = walls[engine, 2]
        found[f"{engine}, 2 workers / {first}, 1"] = walls[first, 1] / walls[engine, 2]
    if set(config.engines) >= {"pool", "ray"}:
        found["ray / pool, 2 workers"] = walls["pool", 2] / walls["ray", 2]
    return found


def _study(config: BenchStudyConfig, factors: dict[str, Any], seeds: range) -> Study:
    options: dict[str, Any] = {
        name: value
        for name, value in vars(config).items()
        if name in TaskOptions.__dataclass_fields__ and value not in (None, False)
    }
    if config.max_seconds is not None:
        options["max_seconds"] = config.max_seconds
    return Study(factors=factors, seeds=seeds, policy=config.policy, **options)


def _quiet(study: Study, folder: Path, **engine: Any) -> None:
    with redirect_stderr(StringIO()):
        study.run(folder, **engine)


def _timed(action: Callable[[], None]) -> tuple[float, float]:
    """CPU and wall time of an action [s]."""
    cpu, wall = time.process_time(), time.monotonic()
    action()
    return time.process_time() - cpu, time.monotonic() - wall
