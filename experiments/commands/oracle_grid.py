"""``xr0-sim oracle-grid``: the oracle under delays of 0 to 10 ticks, by strategy.

The planner is the expert rehearsing in the simulator itself, with a tempo of its own in every
chunk. Whatever this grid shows comes from the strategy: no learning is involved.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from envs.tasks import task_spec
from experiments.options.condition_options import given_options
from experiments.options.task_options import TaskOptions
from experiments.report.columns import condition_summary, readable, summary_object
from experiments.runner.episode_rows import Row
from experiments.runner.run_folder import named_digest
from experiments.runner.runner import seed_range
from experiments.study.study import Study
from experiments.study.text import rows_by_condition
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.summary import markdown_table
from xr0_sim.record.runcard import to_json

LONGEST_DELAY = 20
STRATEGIES = {
    "sync": "sync",
    "naive": "naive_async",
    # A planner is not bound to the prefix lengths a network was trained with.
    "prefix": f"prefix_async:prefix_steps=estimated:longest={LONGEST_DELAY}",
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
        out: Folder of the study; if it exists, what is missing is run. Without, nothing is kept.
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

    def study(self) -> Study:
        """The grid as a study."""
        for delay in self.delays:
            if not 0 <= delay <= LONGEST_DELAY:
                raise ConfigError(f"--delays: expected 0 .. {LONGEST_DELAY} ticks, got {delay}")
        if not self.delays or not self.events:
            raise ConfigError("--delays, --events: expected at least one of each, got none")
        hz = task_spec(self.task).rate(self.env_kwargs())
        return Study(
            policy="oracle_random_speed",
            factors={
                "event": {text: {"event": text} for text in self.events},
                "strategy": {name: {"strategy": text} for name, text in STRATEGIES.items()},
                "delay": {
                    str(delay): {"latency": f"constant:latency_s={delay / hz!r}"}
                    for delay in self.delays
                },
            },
            seeds=seed_range(self.seed, self.episodes),
            **given_options(self),
        )


def grid_rows(study: Study) -> dict[str, list[Row]]:
    """Rows by the short names of their conditions, e.g. ``prefix d=3 shove``."""
    found = {}
    for name, rows in rows_by_condition(study).items():
        at = study.conditions[name]
        found[f"{at['strategy']} d={at['delay']} {at['event']}"] = rows
    return found


def run(config: OracleGridConfig) -> int:
    """Runs, prints, returns the exit status."""
    study, status = config.study(), 0
    with ExitStack() as stack:
        place = config.out or stack.enter_context(tempfile.TemporaryDirectory())
        try:
            study.run(place, workers=config.workers)
        except KeyboardInterrupt:
            if config.out is None:
                raise
            status = 130
    rows = grid_rows(study)
    if config.json:
        print(json.dumps(to_json(_summary(config, rows)), ensure_ascii=False, allow_nan=False))
    else:
        _print_tables(config, rows)
    if status:
        print(
            f"interrupted: what is finished is kept; --out {config.out} continues",
            file=sys.stderr,
        )
    return status


def _print_tables(config: OracleGridConfig, rows: dict[str, list[Row]]) -> None:
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
    print(f"\ndigest  {named_digest(rows)}")


def _summary(config: OracleGridConfig, rows: dict[str, list[Row]]) -> dict[str, Any]:
    return {
        "n": config.episodes,
        "conditions": {
            name: summary_object(found, config.episodes) for name, found in rows.items()
        },
        "digest": named_digest(rows),
        "config": to_json(config),
    }
