"""One seed of one condition: the episode, its undisturbed twin, their logs and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.runner.episode_figures import episode_row
from experiments.runner.episode_rows import Row, log_path
from experiments.runner.episode_run import EpisodeTask, Ran, run_whole
from experiments.runner.shared_twin import earlier_alone, run_from_twin
from xr0_sim.record import TickTable, write_ticklog
from xr0_sim.runtime.episode_ports import EpisodeResult


def run_seed(task: EpisodeTask) -> Row:
    """Runs an episode and, if it has events, its twin; writes both logs.

    An episode with events goes on from its twin, unless it is filmed.

    Returns:
        The row for ``episodes.jsonl``.
    """
    condition = task.condition
    if condition.events and task.branch and task.film is None:
        family = run_from_twin(condition.undisturbed, task.seed, [condition.events])
        ((ran, later),), twin = family.members, family.twin
    else:
        ran, twin, later = _from_their_beginnings(task)
    row = episode_row(condition, ran, twin if condition.events else None, later)
    if task.folder is not None:
        write_ticklog(ran.table, log_path(task.folder, task.seed))
        if condition.events:
            write_ticklog(twin.table, log_path(task.folder, task.seed, twin=True))
    return row


def film_seed(task: EpisodeTask) -> tuple[str, Path | None]:
    """Runs an episode for its film alone: digest of its tick log, and the film."""
    ran = run_whole(task.condition, task)
    return ran.table.digest(), ran.video


def _from_their_beginnings(task: EpisodeTask) -> tuple[Ran, Ran, list[TickTable]]:
    """The episode, its twin (itself without events), and the twins of its later events."""
    condition = task.condition
    ran = run_whole(condition, task)
    if ran.video is not None and task.film is not None and not task.film.kept(ran.result.outcome):
        ran.video.unlink(missing_ok=True)
        ran = replace(ran, video=None)
    if not condition.events:
        return ran, ran, []
    twin = run_whole(condition.undisturbed, replace(task, film=None))
    return ran, twin, later_twins(task, ran.result)


def later_twins(task: EpisodeTask, result: EpisodeResult) -> list[TickTable]:
    """For every event but the first that fired: the run with the events of earlier ticks alone."""
    twins: dict[int, TickTable] = {}
    for record in result.events[1:]:
        if record.tick not in twins:
            events = earlier_alone(task.condition.events, result, record.tick)
            condition = replace(task.condition, events=events)
            twins[record.tick] = run_whole(condition, replace(task, film=None)).table
    return [twins[record.tick] for record in result.events[1:]]
