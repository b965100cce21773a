"""Runs what a study lacks and writes every row as it comes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from experiments.runner.condition import Condition
from experiments.runner.progress import Progress
from experiments.runner.runner import renderer_for
from experiments.study.design import Design
from experiments.study.folder import TICKS, StudyFolder
from experiments.study.jobs import has_logs, jobs_of, run_job
from xr0_sim.plugins import loaded_plugins
from xr0_sim.record.runcard import run_card, to_json

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


class Engine(Protocol):
    """Where jobs run."""

    def run(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Iterator[tuple[TaskT, ResultT]]:
        """Yields (task, result) as they finish, in any order."""
        ...


def study_card(design: Design, conditions: Mapping[str, Condition]) -> dict[str, Any]:
    """Run card of a study: design, conditions, versions, commit, weights, plug-ins, seeds."""
    renderers = {renderer_for(condition, film=False) for condition in conditions.values()}
    drawn = sorted(renderers - {"none"})
    config = {"design": design.to_json(), "conditions": to_json(conditions)}
    weights = {
        f"{found.checkpoint} {found.head}": found.digest
        for found in (condition.weights for condition in conditions.values())
        if found is not None
    }
    card = run_card(config, seeds=design.seeds, renderer=drawn[0] if drawn else "none")
    plugins = {plugin.module: plugin.digest for plugin in loaded_plugins()}
    return {**card, "weights": weights, "plugins": plugins}


def run_study(
    design: Design,
    conditions: Mapping[str, Condition],
    folder: StudyFolder,
    engine: Engine,
    ticks: bool,
) -> None:
    """Runs the rows that are not in the folder.

    Args:
        design: Design.
        conditions: Its conditions by name.
        folder: Open folder.
        engine: Where to run.
        ticks: Keep tick logs; rows that have none are run again for them.
    """
    total = len(conditions) * len(design.seeds)
    place = (folder.path / TICKS).absolute() if ticks else None
    done = {key for key, row in folder.rows.items() if place is None or has_logs(place, row)}
    jobs = jobs_of(conditions, design.seeds, done, place, _costs(folder))
    missing = sum(len(job.members) for job in jobs)
    title = f"{len(conditions)} conditions of {len(design.seeds)} episodes"
    with Progress(missing, title) as progress:
        if missing < total:
            progress.note(f"{folder.path}: {total - missing} of {total} rows are there already")
        for job, rows in engine.run(run_job, jobs):
            folder.append(rows)
            for row in rows:
                progress.advance(f"{row['condition']}  seed {job.seed}", row["outcome"])


def _costs(folder: StudyFolder) -> dict[str, float]:
    """Mean CPU time of a row of every condition that has some [s]."""
    found: dict[str, list[float]] = defaultdict(list)
    for (name, _), row in folder.rows.items():
        if row.get("cpu_s") is not None:
            found[name].append(row["cpu_s"])
    return {name: sum(costs) / len(costs) for name, costs in found.items()}
