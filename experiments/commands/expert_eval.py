"""``xr0-sim expert-eval``: the scripted expert in closed loop, one action per tick, no latency."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.tasks import make_env, task_spec
from envs.world import DEFAULT_WORLD
from experiments.datagen.left_states import LeftState, begin_in, read_left_states
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import choose_events, time_limit_ticks
from experiments.runner.pool import TaskPool, check_stop
from experiments.runner.progress import Progress
from experiments.runner.runner import seed_range
from xr0_sim.errors import ConfigError, SimulationError
from xr0_sim.metrics.statistics import wilson
from xr0_sim.metrics.summary import format_interval, summarise
from xr0_sim.perturb.events import Event
from xr0_sim.record.runcard import to_json
from xr0_sim.runtime.episode_ports import NOT_FIRED

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.scripted.expert import ScriptedExpert


@dataclass(frozen=True)
class ExpertEvalConfig(TaskOptions):
    """Runs the scripted expert on privileged state and counts successes.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        event: none, or PRESET[@TRIGGER], several with commas.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level, e.g. 40.
        episodes: Number of episodes.
        seed: Seed of the first; the others follow.
        states: File of ``xr0-sim left-states``: the expert goes on from where others failed, in the
            environment that the file names; replaces ``episodes`` and ``seed``.
        workers: Worker processes; the results do not depend on it.
        json: Print the summary as one JSON object.
    """

    env: str = "block_dismantling"
    event: str = "none"
    max_seconds: float | None = None
    episodes: int = 100
    seed: int = 0
    states: str = ""
    workers: int = 1
    json: bool = False


@dataclass(frozen=True)
class ExpertTask:
    """One episode of the expert; from a left state if there is one.

    Attributes:
        seed: Its name in tables: the episode seed, or the number of the state in its file.
    """

    seed: int
    env: str
    env_kwargs: tuple[tuple[str, Any], ...]
    events: tuple[Event, ...]
    max_ticks: int
    start: LeftState | None = None


@functools.lru_cache(maxsize=1)
def _stage(task: str, env_kwargs: tuple[tuple[str, Any], ...]) -> tuple[DualArmEnv, ScriptedExpert]:
    from policies.scripted.experts import make_expert

    env = make_env(task, **dict(env_kwargs))
    return env, make_expert(env)


def run_expert(task: ExpertTask) -> dict[str, Any]:
    """Plays one episode; returns its figures, or why it is invalid."""
    try:
        return _play(task)
    except SimulationError as error:
        return {"seed": task.seed, "invalid": str(error)}


def _play(task: ExpertTask) -> dict[str, Any]:
    env, expert = _stage(task.env, task.env_kwargs)
    if task.start is not None:
        begin_in(env, task.start)
    else:
        env.reset_scene(task.seed, {"events": list(task.events)})
    info: dict[str, Any] = {}
    for _ in range(task.max_ticks):
        check_stop()
        _, terminated, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        refused = [f"{event.kind} ({event.refused})" for event in info["events"] if event.refused]
        if refused:
            return {"seed": task.seed, "invalid": NOT_FIRED + ", ".join(refused)}
        if terminated:
            break
    seconds = env.tick / env.control_hz
    entry = task_spec(task.env)
    row = {
        "seed": task.seed,
        "success": bool(info["success"]),
        "progress": info["progress"],
        "duration_s": seconds,
        "ticks": env.tick,
        f"{entry.pieces}_per_min": 60.0 * entry.count(info) / seconds,
        "protective_stop": bool(info["protective_stop"]),
    }
    extra = {name: info[key] for key, name in entry.figures.items() if key in info}
    return row | {name: float(np.sum(value)) for name, value in extra.items()}


def run(config: ExpertEvalConfig) -> int:
    """Runs, prints, returns the exit status."""
    task, env_kwargs = config.task, config.env_kwargs()
    left = None
    if config.states:
        left = read_left_states(Path(config.states))
        if config != _only_states(config):
            raise ConfigError(
                "--states: the file names the environment, its seeds and no event; leave --event, "
                "--episodes, --seed and the task's options out"
            )
        task, env_kwargs = left.env, dict(left.env_kwargs)
    limit = time_limit_ticks(task, env_kwargs, config.max_seconds)
    world, hz = env_kwargs.get("world", DEFAULT_WORLD), task_spec(task).rate(env_kwargs)
    events = choose_events(task, config.event, limit, world, hz)
    seeds: Sequence[int] = seed_range(config.seed, config.episodes)
    tasks = [ExpertTask(s, task, tuple(env_kwargs.items()), events, limit) for s in seeds]
    if left is not None:
        seeds = range(len(left.states))
        tasks = [replace(tasks[0], seed=n, start=left.states[n]) for n in seeds]
    rows: dict[int, dict[str, Any]] = {}
    status = 0
    title = f"expert, {task_spec(task).describe(env_kwargs)}, event {config.event}"
    try:
        with TaskPool(config.workers) as pool, Progress(len(tasks), title) as progress:
            for done, row in pool.run(run_expert, tasks):
                rows[done.seed] = row
                if "invalid" in row:
                    progress.advance(f"seed {done.seed}", "invalid", row["invalid"])
                    continue
                outcome = "success" if row["success"] else "failure"
                progress.advance(f"seed {done.seed}", outcome, f"{row['duration_s']:.1f} s")
    except KeyboardInterrupt:
        status = 130
    _show(config, task, title, [rows.get(seed) for seed in seeds])
    return status


def _only_states(config: ExpertEvalConfig) -> ExpertEvalConfig:
    return ExpertEvalConfig(
        states=config.states,
        max_seconds=config.max_seconds,
        workers=config.workers,
        json=config.json,
    )


def _show(
    config: ExpertEvalConfig, task: str, title: str, found: list[dict[str, Any] | None]
) -> None:
    rows = [row for row in found if row is not None]
    invalid = [row["seed"] for row in rows if "invalid" in row]
    rows = [row for row in rows if "invalid" not in row]
    summary = summarise(rows)
    failing = [row["seed"] for row in rows if not row["success"]]
    if config.json:
        shown = {
            **summary.to_dict(),
            "requested": len(found),
            "failing_seeds": failing,
            "invalid_seeds": invalid,
            "config": to_json(config),
        }
        print(json.dumps(to_json(shown), ensure_ascii=False, allow_nan=False))
        return
    if not rows:
        return
    rate = wilson(len(rows) - len(failing), len(rows))
    print(f"{title}, n = {len(rows)}")
    print(f"  success               {format_interval(rate, len(rows), True)}")
    spec = task_spec(task)
    names = ("progress", f"{spec.pieces}_per_min", "duration_s", *spec.figures.values())
    for name in (name for name in names if name in summary.figures):
        print(f"  {name:<21} {format_interval(summary.figures[name], len(rows), False)}")
    print(f"  failing seeds         {', '.join(map(str, failing)) or 'none'}")
    stopped = [row["seed"] for row in rows if row["protective_stop"]]
    if stopped:
        print(f"  protective stops      {', '.join(map(str, stopped))}  (a failure each)")
    if invalid:
        print(f"  invalid seeds         {', '.join(map(str, invalid))}  (the physics broke)")
