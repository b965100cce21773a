"""Runs episodes of a study again, from their beginning, and compares what comes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row
from experiments.runner.episode_run import EpisodeTask
from experiments.runner.pool import TaskPool
from experiments.runner.seed_run import run_seed
from experiments.runner.stored_condition import stored_condition
from experiments.study.folder import CARD, MANIFEST, TABLE
from experiments.study.freeze import condition_digests
from experiments.study.study import Study
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.record.runcard import to_json

COMPARED = ("digest", "twin_digest", "outcome", "figures")


@dataclass(frozen=True)
class Verdict:
    """One row that was run again.

    Attributes:
        condition: Name of its condition.
        seed: Its seed.
        differs: What came out otherwise; empty if nothing did.
    """

    condition: str
    seed: int
    differs: tuple[str, ...]


def check_manifest(study: Study) -> str | None:
    """Why the rows of a study are not those that its manifest froze; None if they are.

    Raises:
        DatasetError: There is no readable manifest.
    """
    folder = _folder(study)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        table = hashlib.sha256((folder / TABLE).read_bytes()).hexdigest()
        conditions, frozen = manifest["conditions"], manifest["table_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"study {folder}: expected a {MANIFEST} and a {TABLE} of a complete run; {error!r}"
        ) from None
    if table != frozen:
        return f"{TABLE} is not the file that {MANIFEST} was written for"
    found = condition_digests(study.design, study.rows)
    for name in [*conditions, *found]:
        if conditions.get(name) != found.get(name):
            return f"rows of {name} are not those that {MANIFEST} was written for"
    return None


def verify(study: Study, rows: int, rng: np.random.Generator, pool: TaskPool) -> Iterator[Verdict]:
    """Runs randomly chosen rows again.

    Args:
        study: Loaded study.
        rows: How many rows; all if there are not so many.
        rng: Chooses them.
        pool: Where they run.
    """
    known = study.rows
    if rows < 1 or not known:
        raise ConfigError(f"verify: expected at least one row, got {min(rows, len(known))}")
    places = rng.choice(len(known), size=min(rows, len(known)), replace=False)
    card = study.card or {}
    stored = card["config"]["conditions"]
    place = str(_folder(study) / CARD)
    chosen = [known[index] for index in sorted(places)]
    asked = [(row, stored_condition(stored[row["condition"]], place)) for row in chosen]
    for (row, _), again in pool.run(_again, asked):
        same = [other for other in known if other["condition"] == row["condition"]]
        yield Verdict(row["condition"], row["seed"], _differences(row, again, _figures(same)))


def _again(asked: tuple[Row, Condition]) -> Row:
    row, condition = asked
    return run_seed(EpisodeTask(condition, row["seed"], branch=False))


def _figures(rows: list[Row]) -> set[str]:
    """Figures that any of the rows has a value of.

    A table has a place for every figure that one of its rows has. Where rows of a condition were
    written by a version that did not know a figure yet, all of them have nothing there.
    """
    return {n for row in rows for n, value in row["figures"].items() if value is not None}


def _differences(row: Row, again: Row, written: set[str]) -> tuple[str, ...]:
    new = to_json(again)
    found = [name for name in COMPARED[:-1] if row.get(name) != new.get(name)]
    old_figures, figures = row["figures"], new["figures"]
    # What only the new row has is a figure that the version which wrote the row did not know.
    # So is one that no row of the condition was written with, as long as the episode is the same.
    known = [name for name in sorted(old_figures) if found or name in written]
    found += [name for name in known if old_figures[name] != figures.get(name)]
    return tuple(found)


def _folder(study: Study) -> Path:
    if study.folder is None:
        raise ConfigError("verify: expected a study with a folder; run or load it first")
    return study.folder
