"""``xr0-sim compare``: the same seeds over strategies, heads and latencies, table and picture."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.options.condition_options import given_options
from experiments.options.network_options import WeightOptions
from experiments.options.task_options import TaskOptions
from experiments.report.columns import condition_summary, readable, summary_object
from experiments.report.paired import paired_table, paired_to_first
from experiments.runner.episode_rows import Row
from experiments.runner.run_folder import joint_digest, named_digest
from experiments.runner.runner import seed_range
from experiments.study.folder import TICKS
from experiments.study.jobs import ticks_name
from experiments.study.study import Study
from experiments.study.text import rows_by_condition
from policies.xr0.checkpoints import find_checkpoint, is_released
from xr0_sim.atomic import replacing
from xr0_sim.metrics.summary import markdown_table, separation_notes
from xr0_sim.record.runcard import to_json
from xr0_sim.registry import policies

POSITIONS = {
    "xr0": ("sync:sync", "naive_async:sync", "prefix_async:prefix", "prefix_async:prefix_lambda"),
    "released": ("sync", "naive_async"),
    "oracle": ("sync", "naive_async", "prefix_async"),
    "oracle_random_speed": ("sync", "naive_async", "prefix_async"),
}
"""Switch positions, ``STRATEGY[:field=value,...][:HEAD]``, compared when none are given."""

PICTURE = "comparison.png"
TABLE = "comparison.md"


@dataclass(frozen=True)
class CompareConfig(TaskOptions, WeightOptions):
    """Runs the same seeds for every strategy, head and latency; a table and a picture.

    A study of two factors, latency and position, with its tick logs; report and verify take its
    folder. Every condition sees the same scenes, latencies and noise. The oracle draws a new mode
    in every chunk here, as a sampling policy does. Episodes that are done are not run again.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        policy: xr0 (trained), oracle (the scripted expert, rehearsed), or a policy of yours.
        positions: Switch positions STRATEGY[:field=value,...][:HEAD]; default: all that fit the
            policy.
        latency: One or several latencies: presets or amounts.
        execution_horizon: Executed actions before the next inference starts; default for xr0: what
            the checkpoint was measured best with; else 10.
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

    def study(self) -> Study:
        """The comparison as a study."""
        policy = policies.canonical(self.policy)
        if policy == "oracle":
            policy = "oracle_random_speed"
        kind = policy
        if self.checkpoint is not None and is_released(find_checkpoint(self.checkpoint)):
            kind = "released"
        positions = self.positions or POSITIONS.get(kind, POSITIONS["oracle"])
        fixed = {**given_options(self), "policy": policy}
        del fixed["latency"]
        return Study(
            factors={
                "latency": {text: {"latency": text} for text in self.latency},
                "position": {text: position_settings(text) for text in positions},
            },
            seeds=seed_range(self.seed, self.episodes),
            **fixed,
        )


def position_settings(position: str) -> dict[str, str]:
    """What a switch position sets, e.g. strategy and head of ``naive_async:sync``."""
    strategy, head = split_position(position)
    return {"strategy": strategy, "head": head} if head else {"strategy": strategy}


def short_names(study: Study) -> dict[str, str]:
    """Conditions of a comparison -> what tables and pictures call them."""
    return {
        name: condition_name(levels["position"], levels["latency"])
        for name, levels in study.conditions.items()
    }


def short_rows(study: Study) -> dict[str, list[Row]]:
    """Rows of a comparison by the short names of their conditions."""
    names = short_names(study)
    return {names[name]: found for name, found in rows_by_condition(study).items()}


def draw_study(study: Study, path: Path) -> None:
    """Draws the picture of a comparison that was run with its tick logs.

    Args:
        study: From `CompareConfig.study`.
        path: Where the picture goes.
    """
    from experiments.report.comparison_figure import draw_comparison

    rows, names = short_rows(study), short_names(study)
    ticks = (study.folder or Path()) / TICKS
    found = study.resolved()
    draw_comparison(
        {short: found[name] for name, short in names.items() if short in rows},
        rows,
        {short: ticks / ticks_name(name) for name, short in names.items()},
        path,
    )


def split_position(position: str) -> tuple[str, str]:
    """Strategy and head of ``STRATEGY[:field=value,...][:HEAD]``; no head is ""."""
    strategy, _, last = position.rpartition(":")
    return (strategy, last) if strategy and "=" not in last else (position, "")


def condition_name(position: str, latency: str) -> str:
    """Name of a condition in tables and files."""
    return f"{position} @ {latency}"


def run(config: CompareConfig) -> int:
    """Runs, prints, draws, returns the exit status."""
    study, status = config.study(), 0
    try:
        study.run(config.out, workers=config.workers, ticks=True, name=f"compare_{config.policy}")
    except KeyboardInterrupt:
        status = 130
    if study.folder is not None:
        _report(config, study, study.folder)
    if status:
        print(
            f"interrupted: what is finished is kept; --out {study.folder} continues",
            file=sys.stderr,
            flush=True,
        )
    return status


def _report(config: CompareConfig, study: Study, out: Path) -> None:
    """Writes table, picture and summary; prints the table, or the summary as JSON."""
    rows = short_rows(study)
    if not rows:
        return
    names = short_names(study)
    conditions = {names[name]: condition for name, condition in study.resolved().items()}
    requested = len(study.seeds)
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
        "complete": study.complete,
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
        "digest": named_digest(rows),
        "out": str(out),
        "picture": str(out / PICTURE),
    }
    with replacing(out / "summary.json") as partial:
        partial.write_text(_json(summary, indent=2) + "\n", encoding="utf-8")
    draw_study(study, out / PICTURE)
    if config.json:
        print(_json(summary))
        return
    print(text)
    print(f"\nresults  {out}\npicture  {out / PICTURE}\ndigest   {summary['digest']}")


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(to_json(value), indent=indent, ensure_ascii=False, allow_nan=False)
