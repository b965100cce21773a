"""``xr0-sim oracle-grid``: the oracle under delays of 0 to 10 ticks, by strategy.

The planner is the expert rehearsing in the simulator itself, with a tempo of its own in every
chunk. Whatever this grid shows comes from the strategy: no learning is involved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from envs.tasks import task_spec
from experiments.options.task_options import TaskOptions
from experiments.report.columns import condition_summary, readable, summary_object
from experiments.runner.condition import Condition, make_condition
from experiments.runner.episode_rows import Row
from experiments.runner.pool import TaskPool
from experiments.runner.progress import Progress
from experiments.runner.run_folder import RunFolder, joint_digest
from experiments.runner.runner import run_condition, seed_range
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.summary import markdown_table
from xr0_sim.record.runcard import to_json
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix, PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync

LONGEST_DELAY = 20
STRATEGY_NAMES: dict[str, Strategy] = {
    "sync": Sync(),
    "naive": NaiveAsync(),
    # A planner is not bound to the prefix lengths a network was trained with.
    "prefix": PrefixAsync(prefix_steps=EstimatedPrefix(longest=LONGEST_DELAY)),
}
COLUMNS = ("starvation", "seam (mrad)", "jerk (m/s³)", "reaction (s)")
"""Columns after the success and those of the task."""


@dataclass(frozen=True)
class OracleGridConfig(TaskOptions):
    """The oracle over delays, strategies and events: sync slows, naive jerks, prefix does not.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        delays: Delays of every inference [control ticks].
        events: Disturbances, each a row of the grid: none or PRESET[@TRIGGER].
        max_seconds: Time limit of an episode [simulated s]; default: that of the level, e.g. 40.
        episodes: Episodes per condition.
        seed: Seed of the first; the others follow.
        workers: Worker processes; the results do not depend on it.
        out: Folder that keeps the conditions, so that an interrupted grid can be continued.
        json: Print the summary as one JSON object.
    """

    env: str = "block_dismantling"
    delays: tuple[int, ...] = tuple(range(11))
    events: tuple[str, ...] = ("none", "shove")
    max_seconds: float | None = None
    episodes: int = 5
    seed: int = 0
    workers: int = 1
    out: str | None = None
    json: bool = False


def grid_cells(config: OracleGridConfig) -> dict[str, Condition]:
    """Conditions by name, e.g. ``prefix d=3 shove``."""
    for delay in config.delays:
        if not 0 <= delay <= LONGEST_DELAY:
            raise ConfigError(f"--delays: expected 0 .. {LONGEST_DELAY} ticks, got {delay}")
    conditions = {}
    env_kwargs = config.env_kwargs()
    for event in config.events:
        base = make_condition(
            env=config.task,
            env_kwargs=env_kwargs,
            policy="oracle_random_speed",
            weights=None,
            strategy=Sync(),
            latency="none",
            delay_error=0,
            event=event,
            max_seconds=config.max_seconds,
        )
        for name, strategy in STRATEGY_NAMES.items():
            for delay in config.delays:
                conditions[f"{name} d={delay} {event}"] = replace(
                    base, strategy=strategy, latency=Constant(delay / CONTROL_HZ)
                )
    if not conditions:
        raise ConfigError("--delays, --events: expected at least one of each, got none")
    return conditions


def run_grid(config: OracleGridConfig) -> dict[str, list[Row]]:
    """Rows of every condition; what an interrupted grid has finished survives only with ``out``."""
    conditions = grid_cells(config)
    seeds = seed_range(config.seed, config.episodes)
    rows = {}
    with (
        TaskPool(config.workers) as pool,
        Progress(
            len(conditions) * len(seeds), f"{len(conditions)} conditions of {len(seeds)} episodes"
        ) as bar,
    ):
        for name, condition in conditions.items():
            bar.note(name)
            if config.out is None:
                rows[name] = run_condition(condition, seeds, pool, bar)
                continue
            path = Path(config.out) / name.replace(" ", "_").replace("@", "-")
            with RunFolder(path, condition, seeds, "none") as folder:
                rows[name] = run_condition(condition, seeds, pool, bar, folder=folder)
    return rows


def run(config: OracleGridConfig) -> int:
    """Runs, prints, returns the exit status."""
    rows = run_grid(config)
    if config.json:
        print(json.dumps(to_json(_summary(config, rows)), ensure_ascii=False, allow_nan=False))
        return 0
    for event in config.events:
        found = {
            name: readable(condition_summary(condition))
            for name, condition in rows.items()
            if name.endswith(f" {event}")
        }
        task = [column.label for column in task_spec(config.task).metric_columns]
        known = {label for summary in found.values() for label in summary.figures}
        print(f"\nevent: {event}\n")
        print(markdown_table(found, [c for c in ("success", *task, *COLUMNS) if c in known]))
    digest = joint_digest(_named(rows))
    print(f"\ndigest  {digest}")
    return 0


def _summary(config: OracleGridConfig, rows: dict[str, list[Row]]) -> dict[str, Any]:
    return {
        "n": config.episodes,
        "conditions": {
            name: summary_object(found, config.episodes) for name, found in rows.items()
        },
        "digest": joint_digest(_named(rows)),
        "config": to_json(config),
    }


def _named(rows: dict[str, list[Row]]) -> Sequence[dict[str, Any]]:
    return [{**row, "digest": f"{name} {row['digest']}"} for name in rows for row in rows[name]]
