"""``xr0-sim expert-eval``: the scripted expert in closed loop, one action per tick, no latency."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.campaign import seed_range
from experiments.catalog import TASKS, make_env
from experiments.cell import check_level, choose_events, time_limit_ticks
from experiments.pool import TaskPool, check_stop
from experiments.progress import Progress
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.metrics.statistics import wilson
from xr0_sim.metrics.summary import format_interval, summarise
from xr0_sim.perturb.events import Event
from xr0_sim.record.runcard import to_json

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.scripted.block_expert import BlockExpert

TASK = "block_dismantling"
SHOWN = ("success", "progress", "bricks_per_min", "duration_s", "drops", "peak_contact_force_n")


@dataclass(frozen=True)
class ExpertEvalConfig:
    """Runs the scripted expert on privileged state and counts successes.

    Attributes:
        n_bricks: Bricks in the assembly.
        layout: random, layered or mixed.
        event: none, or PRESET[@TRIGGER], several with commas.
        max_seconds: Time limit of an episode [simulated s]; default 10 per brick, at least 40.
        episodes: Number of episodes.
        seed: Seed of the first; the others follow.
        workers: Worker processes; the results do not depend on it.
        json: Print the summary as one JSON object.
    """

    n_bricks: int = 2
    layout: str = "random"
    event: str = "none"
    max_seconds: float | None = None
    episodes: int = 100
    seed: int = 0
    workers: int = 1
    json: bool = False


@dataclass(frozen=True)
class ExpertTask:
    """One episode of the expert."""

    seed: int
    n_bricks: int
    layout: str
    events: tuple[Event, ...]
    max_ticks: int


@functools.lru_cache(maxsize=1)
def _stage(n_bricks: int, layout: str) -> tuple[DualArmEnv, BlockExpert]:
    from policies.scripted.block_expert import BlockExpert

    env = make_env(TASK, n_bricks=n_bricks, layout=layout)
    return env, BlockExpert(env.kinematics)


def run_expert(task: ExpertTask) -> dict[str, Any]:
    """Plays one episode; returns its figures."""
    env, expert = _stage(task.n_bricks, task.layout)
    env.reset_scene(task.seed, {"events": list(task.events)})
    info: dict[str, Any] = {}
    for _ in range(task.max_ticks):
        check_stop()
        _, terminated, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        if terminated:
            break
    seconds = env.tick / CONTROL_HZ
    return {
        "seed": task.seed,
        "success": bool(info["success"]),
        "progress": info["progress"],
        "duration_s": seconds,
        "ticks": env.tick,
        "bricks_per_min": 60.0 * TASKS[TASK].count(info) / seconds,
        "drops": info["drops"],
        "peak_contact_force_n": info["peak_contact_force"],
        "physics_failed": "failure" in info,
    }


def run(config: ExpertEvalConfig) -> int:
    """Runs, prints, returns the exit status."""
    check_level(config.n_bricks, config.layout)
    events = choose_events(TASK, config.event)
    limit = time_limit_ticks(config.n_bricks, config.max_seconds)
    seeds = seed_range(config.seed, config.episodes)
    tasks = [ExpertTask(s, config.n_bricks, config.layout, events, limit) for s in seeds]
    rows: dict[int, dict[str, Any]] = {}
    status = 0
    title = f"expert, {config.n_bricks} bricks, {config.layout}, event {config.event}"
    try:
        with TaskPool(config.workers) as pool, Progress(len(tasks), title) as progress:
            for task, row in pool.run(run_expert, tasks):
                rows[task.seed] = row
                outcome = "success" if row["success"] else "failure"
                progress.advance(f"seed {task.seed}", outcome, f"{row['duration_s']:.1f} s")
    except KeyboardInterrupt:
        status = 130
    _show(config, [rows[seed] for seed in seeds if seed in rows])
    return status


def _show(config: ExpertEvalConfig, rows: list[dict[str, Any]]) -> None:
    summary = summarise(rows)
    failing = [row["seed"] for row in rows if not row["success"]]
    if config.json:
        found = {
            **summary.to_dict(),
            "requested": config.episodes,
            "failing_seeds": failing,
            "config": to_json(config),
        }
        print(json.dumps(to_json(found), ensure_ascii=False, allow_nan=False))
        return
    if not rows:
        return
    rate = wilson(len(rows) - len(failing), len(rows))
    print(f"{config.n_bricks} bricks, {config.layout}, event {config.event}, n = {len(rows)}")
    print(f"  success               {format_interval(rate, len(rows), True)}")
    for name in SHOWN[1:]:
        print(f"  {name:<21} {format_interval(summary.figures[name], len(rows), False)}")
    print(f"  failing seeds         {', '.join(map(str, failing)) or 'none'}")
