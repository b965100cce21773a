"""Runs the seeds of a condition that are not done yet, over workers, into a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence

from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row
from experiments.runner.episode_run import EpisodeTask
from experiments.runner.film_options import FilmOptions
from experiments.runner.pool import TaskPool
from experiments.runner.progress import Progress
from experiments.runner.run_folder import RunFolder
from experiments.runner.seed_run import run_seed
from policies.table import policy_spec
from xr0_sim.errors import ConfigError, RenderError
from xr0_sim.record.runcard import to_json
from xr0_sim.runtime.random_streams import check_seed

MOST_EPISODES = 100_000


def seed_range(seed: int, episodes: int) -> range:
    """The seeds of a run: ``seed``, ``seed + 1``, ..."""
    check_seed(seed)
    if not 1 <= episodes <= MOST_EPISODES:
        raise ConfigError(f"--episodes: expected 1 .. {MOST_EPISODES}, got {episodes}")
    return range(seed, seed + episodes)


def renderer_for(condition: Condition, film: bool) -> str:
    """OpenGL backend the condition will draw with, or ``none``; checked before anything runs."""
    import envs  # noqa: F401  (chooses the backend)
    from envs.scene.gl import INSTALL_HINT

    looks = policy_spec(condition.policy).looks
    if not (looks or film):
        return "none"
    backend = os.environ.get("MUJOCO_GL", "")
    if backend == "disable":
        wanted = "policy pictures" if looks else "video"
        remedy = "" if looks else ", or add --no-video"
        raise RenderError(
            f"{wanted}: expected EGL or OSMesa, found neither; {INSTALL_HINT}{remedy}"
        )
    return backend or "default"


def run_condition(
    condition: Condition,
    seeds: Sequence[int],
    pool: TaskPool,
    progress: Progress,
    *,
    folder: RunFolder | None = None,
    film: FilmOptions | None = None,
    filmed: Sequence[int] | None = None,
) -> list[Row]:
    """Runs what is missing and returns the rows of all seeds, in order.

    Args:
        condition: What to run.
        seeds: Requested seeds.
        pool: Where to run.
        progress: Told about every finished episode.
        folder: Open run folder; None to keep nothing.
        film: How episodes are filmed; None for no films.
        filmed: Seeds that are filmed; None for all.
    """
    done: dict[int, Row] = {} if folder is None else folder.rows
    path = None if folder is None else folder.path
    if folder is not None:
        for seed in seeds:
            if seed in folder.distrusted:
                progress.note(f"seed {seed} runs again: {folder.distrusted[seed]}")
    watched = frozenset(seeds if filmed is None else filmed)
    tasks = [
        EpisodeTask(condition, seed, path, film if seed in watched else None)
        for seed in seeds
        if seed not in done
    ]
    for task, row in pool.run(run_seed, tasks):
        if folder is None:
            done[task.seed] = to_json(row)
        else:
            folder.append(row)
        progress.advance(f"seed {task.seed}", row["outcome"], _detail(row))
    return [done[seed] for seed in seeds]


def _detail(row: Row) -> str:
    figures = row["figures"]
    parts = [f"{figures['duration_s']:.1f} s", f"{100 * figures['progress']:.0f} %"]
    if figures.get("reaction_s") is not None:
        parts.append(f"reaction {figures['reaction_s']:.2f} s")
    return "  ".join(parts)
