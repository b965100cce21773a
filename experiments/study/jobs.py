"""What a worker does at a time: one seed of all conditions that differ in their events alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.runner.condition import Condition
from experiments.runner.episode_figures import episode_row
from experiments.runner.episode_rows import Row, log_path
from experiments.runner.shared_twin import run_from_twin
from xr0_sim.perturb.events import Event
from xr0_sim.record import write_ticklog
from xr0_sim.record.runcard import to_json

Key = tuple[str, int]
"""Name of a condition, and seed."""


@dataclass(frozen=True)
class Job:
    """One twin and what goes on from it.

    Attributes:
        undisturbed: Condition without events.
        seed: Seed of all episodes.
        members: (name of the condition, its events) of every row.
        ticks: Folder of tick logs; None to keep none.
    """

    undisturbed: Condition
    seed: int
    members: tuple[tuple[str, tuple[Event, ...]], ...]
    ticks: Path | None = None

    @property
    def weight(self) -> float:
        """Expected cost next to that of other jobs: the ticks it may take."""
        return self.undisturbed.max_ticks * (sum(bool(events) for _, events in self.members) + 1)


def run_job(job: Job) -> list[Row]:
    """Runs the episodes of a job; one row for every member, with its ``condition`` and cost."""
    lists = list(dict.fromkeys(events for _, events in job.members))
    family = run_from_twin(job.undisturbed, job.seed, lists)
    twin_s, *own_s = family.cpu_s
    rows, told = [], set()
    for name, events in job.members:
        place = lists.index(events)
        ran, later = family.members[place]
        condition = replace(job.undisturbed, events=events)
        row = episode_row(condition, ran, family.twin if events else None, later)
        cost_s = 0.0 if place in told else own_s[place]
        told.add(place)
        row |= {"condition": name, "shared_ticks": ran.shared_ticks, "cpu_s": twin_s + cost_s}
        twin_s = 0.0
        rows.append(row)
        if job.ticks is not None:
            folder = job.ticks / ticks_name(name)
            write_ticklog(ran.table, log_path(folder, job.seed))
            if events:
                write_ticklog(family.twin.table, log_path(folder, job.seed, twin=True))
    return rows


def jobs_of(
    conditions: Mapping[str, Condition],
    seeds: Sequence[int],
    done: Collection[Key],
    ticks: Path | None = None,
    costs: Mapping[str, float] | None = None,
) -> list[Job]:
    """What is left to run, the longest job first.

    Args:
        conditions: Conditions by name.
        seeds: Seeds of each.
        done: Rows that are there already.
        ticks: Folder of tick logs; None to keep none.
        costs: Mean CPU time of a row of each condition, as far as known [s].
    """
    groups: dict[str, tuple[Condition, list[str]]] = {}
    for name, condition in conditions.items():
        undisturbed = condition.undisturbed
        key = json.dumps(to_json(undisturbed), sort_keys=True)
        groups.setdefault(key, (undisturbed, []))[1].append(name)
    jobs = []
    for undisturbed, names in groups.values():
        for seed in seeds:
            missing = [name for name in names if (name, seed) not in done]
            if missing:
                members = tuple((name, conditions[name].events) for name in missing)
                jobs.append(Job(undisturbed, seed, members, ticks))
    known = costs or {}
    complete = all(name in known for job in jobs for name, _ in job.members)

    def weight(job: Job) -> float:
        return sum(known[name] for name, _ in job.members) if complete else job.weight

    return sorted(jobs, key=weight, reverse=True)


def has_logs(ticks: Path, row: Row) -> bool:
    """Whether the tick logs of a row are there, its twin's too."""
    folder = ticks / ticks_name(row["condition"])
    twins = (False,) if row["twin_digest"] is None else (False, True)
    return all(log_path(folder, row["seed"], twin=twin).is_file() for twin in twins)


def ticks_name(condition: str) -> str:
    """Folder name of a condition's tick logs."""
    from hashlib import sha256

    return sha256(condition.encode()).hexdigest()[:16]
