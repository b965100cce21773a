"""``xr0-sim bench physics``: the expert's episodes substep by substep, against limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.tasks import task_spec
from experiments.benchmarks.report import as_object, report
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import time_limit_ticks
from experiments.runner.pool import TaskPool
from experiments.runner.progress import Progress
from experiments.runner.runner import seed_range
from xr0_sim.atomic import write_json

EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class BenchPhysicsConfig(TaskOptions):
    """Plays the scripted expert and looks at every physics substep; tells which limits hold.

    Exit status 1 if a limit is broken. A figure is the worst of all episodes where nothing else is
    said.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level, e.g. 40.
        episodes: Number of episodes.
        seed: Seed of the first; the others follow.
        workers: Worker processes; only the real-time factor depends on it.
        no_limits: Exit status 0 also if a limit is broken.
        out: File for the figures, their limits and the episodes, as JSON.
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    max_seconds: float | None = None
    episodes: int = 10
    seed: int = 0
    workers: int = 1
    no_limits: bool = False
    out: str | None = None
    json: bool = False


def run(config: BenchPhysicsConfig) -> int:
    """Plays, prints, writes; exit status 1 if a limit is broken."""
    from experiments.benchmarks.physics.episode import WatchedEpisode, watch_episode
    from experiments.benchmarks.physics.table import measures

    task, env_kwargs = config.task, config.env_kwargs()
    spec = task_spec(task)
    limit = time_limit_ticks(task, env_kwargs, config.max_seconds)
    seeds = seed_range(config.seed, config.episodes)
    episodes = [WatchedEpisode(s, task, tuple(env_kwargs.items()), limit) for s in seeds]
    title = f"physics, {spec.describe(env_kwargs)}"
    rows: dict[int, dict[str, Any]] = {}
    try:
        with TaskPool(config.workers) as pool, Progress(len(episodes), title) as progress:
            for done, row in pool.run(watch_episode, episodes):
                rows[done.seed] = row
                outcome = "success" if row["success"] else "failure"
                progress.advance(f"seed {done.seed}", outcome, row.get("invalid", ""))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    played = [rows[seed] for seed in seeds]
    if task == "towel_folding":
        from experiments.benchmarks.physics.relaxation import measure_relaxation

        played[0] |= measure_relaxation(env_kwargs, config.seed)
    found = measures(task, env_kwargs, played)
    table = {"episodes": [_without_samples(row) for row in played]}
    shown = f"{title}, {len(played)} episodes of the expert, seeds {seeds[0]}–{seeds[-1]}"
    report(shown, found, as_json=config.json, config=config, tables=table if config.json else None)
    if config.out is not None:
        write_json(Path(config.out), as_object(found, config, table))
    broken = any(measure.met is False for measure in found)
    return int(broken and not config.no_limits)


def _without_samples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not isinstance(value, list)}
