"""``xr0-sim compare``: the same seeds over strategies, heads and latencies, table and picture."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from experiments.options.network_options import WeightOptions
from experiments.options.task_options import TaskOptions
from experiments.report.columns import condition_summary, readable, summary_object
from experiments.report.paired import paired_table, paired_to_first
from experiments.runner.condition import Condition, choose_strategy, make_condition
from experiments.runner.episode_rows import Row
from experiments.runner.folder_lock import FolderLock
from experiments.runner.pool import TaskPool
from experiments.runner.progress import Progress
from experiments.runner.run_folder import RunFolder, fresh_folder, joint_digest, make_folder
from experiments.runner.runner import renderer_for, run_condition, seed_range
from xr0_sim.atomic import replacing
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.summary import markdown_table, separation_notes
from xr0_sim.record.runcard import to_json
from xr0_sim.registry import policies

POSITIONS = {
    "xr0": ("sync:sync", "naive_async:sync", "prefix_async:prefix", "prefix_async:prefix_lambda"),
    "oracle": ("sync", "naive_async", "prefix_async"),
    "oracle_random_speed": ("sync", "naive_async", "prefix_async"),
}
"""Switch positions, ``STRATEGY[:field=value,...][:HEAD]``, compared when none are given."""

LONGEST_NAME = 100
"""Characters of a condition that its folder is named by."""
PICTURE = "comparison.png"
TABLE = "comparison.md"


@dataclass(frozen=True)
class CompareConfig(TaskOptions, WeightOptions):
    """Runs the same seeds for every strategy, head and latency; a table and a picture.

    Every condition sees the same scenes, latencies and noise. The oracle draws a new mode
    in every chunk here, as a sampling policy does. Conditions that are done are not run again.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        policy: xr0 (trained), oracle (the scripted expert, rehearsed), or a policy of yours.
        positions: Switch positions STRATEGY[:field=value,...][:HEAD]; default: all that fit the
            policy.
        latency: One or several latencies: presets or amounts.
        execution_horizon: Executed actions before the next inference starts; default for xr0: 20
            with blocks, 8 with a towel; else 10.
        delay_error: Error of the estimated delay [ticks].
        event: none, or PRESET[@TRIGGER], several with commas.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level, e.g. 40.
        episodes: Episodes per condition.
        seed: Seed of the first; the others follow.
        workers: Worker processes; the results do not depend on it.
        out: Folder of the comparison; if it exists, what is missing is run.
        json: Print the summary as one JSON object.
    """

    env: str = "block_dismantling"
    policy: str = "xr0"
    positions: tuple[str, ...] = ()
    latency: tuple[str, ...] = ("xr0_4090",)
    execution_horizon: int | None = None
    delay_error: int = 0
    event: str = "shove"
    max_seconds: float | None = None
    episodes: int = 10
    seed: int = 0
    workers: int = 1
    out: str | None = None
    json: bool = False

    def conditions(self) -> dict[str, Condition]:
        """Conditions by name, e.g. ``naive_async:sync @ xr0_4090``, in table order."""
        env_kwargs = self.env_kwargs()
        policy = policies.canonical(self.policy)
        if policy == "oracle":
            policy = "oracle_random_speed"
        positions = self.positions or POSITIONS.get(policy, POSITIONS["oracle"])
        found = {}
        for latency in self.latency:
            for position in positions:
                name, head = split_position(position)
                strategy = choose_strategy(
                    name, self.execution_horizon, None, None, policy, self.task
                )
                found[condition_name(position, latency)] = make_condition(
                    env=self.task,
                    env_kwargs=env_kwargs,
                    policy=policy,
                    weights=self.weights_of(self.task, policy, strategy, head or None),
                    strategy=strategy,
                    latency=latency,
                    delay_error=self.delay_error,
                    event=self.event,
                    max_seconds=self.max_seconds,
                )
        if not found:
            raise ConfigError(f"--positions: expected at least one for policy {self.policy!r}")
        return found


def split_position(position: str) -> tuple[str, str]:
    """Strategy and head of ``STRATEGY[:field=value,...][:HEAD]``; no head is ""."""
    strategy, _, last = position.rpartition(":")
    return (strategy, last) if strategy and "=" not in last else (position, "")


def condition_name(position: str, latency: str) -> str:
    """Name of a condition in tables and files."""
    return f"{position} @ {latency}"


def run(config: CompareConfig) -> int:
    """Runs, prints, draws, returns the exit status."""
    conditions = config.conditions()
    seeds = seed_range(config.seed, config.episodes)
    renderer = renderer_for(next(iter(conditions.values())), film=False)
    pool = TaskPool(config.workers)
    out = Path(config.out or fresh_folder("out", f"compare_{config.policy}"))
    make_folder(out)
    with FolderLock(out):
        return _compare(config, conditions, seeds, renderer, out, pool)


def _compare(
    config: CompareConfig,
    conditions: dict[str, Condition],
    seeds: range,
    renderer: str,
    out: Path,
    pool: TaskPool,
) -> int:
    with pool:
        folders = {
            name: RunFolder(out / "conditions" / file_name(name), condition, seeds, renderer)
            for name, condition in conditions.items()
        }
        todo = sum(len(folder.missing(seeds)) for folder in folders.values())
        if todo < len(conditions) * len(seeds):
            _say(f"{out}: {len(conditions) * len(seeds) - todo} episodes are there already")
        status = 0
        try:
            with Progress(todo, f"{len(conditions)} conditions") as progress:
                for name, folder in folders.items():
                    if folder.missing(seeds):
                        progress.note(f"{name}  ({conditions[name].label})")
                    with folder:
                        run_condition(conditions[name], seeds, pool, progress, folder=folder)
        except KeyboardInterrupt:
            status = 130
    rows = {
        name: [folder.rows[seed] for seed in seeds if seed in folder.rows]
        for name, folder in folders.items()
    }
    rows = {name: found for name, found in rows.items() if found}
    _report(config, conditions, rows, out, len(seeds))
    if status:
        _say(f"interrupted: what is finished is kept; --out {out} continues")
    return status


def file_name(name: str) -> str:
    """Folder name of a condition."""
    short = name.replace(" @ ", "@").replace(":", "-").replace("±", "+-").replace(" ", "")
    plain = re.sub(r"[^\w.=+,@-]+", "_", short)
    if len(plain) <= LONGEST_NAME:
        return plain
    return f"{plain[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"


def _report(
    config: CompareConfig,
    conditions: dict[str, Condition],
    rows: dict[str, list[Row]],
    out: Path,
    requested: int,
) -> None:
    """Writes table, picture and summary; prints the table, or the summary as JSON."""
    if not rows:
        return
    summaries = {name: condition_summary(found) for name, found in rows.items()}
    shown = {name: readable(summary) for name, summary in summaries.items()}
    columns = list(dict.fromkeys(label for s in shown.values() for label in s.figures))
    notes = [
        note
        for latency in config.latency
        for note in separation_notes(
            {n: s for n, s in summaries.items() if n.endswith(f" @ {latency}")}
        )
    ]
    differences = paired_to_first(rows)
    text = "\n".join(
        [
            markdown_table(shown, columns),
            "",
            *[f"- {note}" for note in notes],
            "",
            paired_table(differences),
        ]
    )
    with replacing(out / TABLE) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    summary = {
        "n": min(len(found) for found in rows.values()),
        "requested": requested,
        "complete": len(rows) == len(conditions)
        and all(len(r) == requested for r in rows.values()),
        "conditions": {
            name: {
                **summary_object(found, requested),
                "digest": joint_digest(found),
                "config": to_json(conditions[name]),
            }
            for name, found in rows.items()
        },
        "paired": differences,
        "notes": notes,
        "digest": joint_digest(
            {**row, "digest": f"{name} {row['digest']}"} for name in rows for row in rows[name]
        ),
        "out": str(out),
        "picture": str(out / PICTURE),
    }
    with replacing(out / "summary.json") as partial:
        partial.write_text(_json(summary, indent=2) + "\n", encoding="utf-8")
    from experiments.report.comparison_figure import draw_comparison

    folders = {name: out / "conditions" / file_name(name) for name in rows}
    draw_comparison({name: conditions[name] for name in rows}, rows, folders, out / PICTURE)
    if config.json:
        print(_json(summary))
        return
    print(text)
    print(f"\nresults  {out}\npicture  {out / PICTURE}\ndigest   {summary['digest']}")


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(to_json(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
