"""A study that goes on until its intervals are narrow enough."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.study.effects_sequential import Until
from experiments.study.folder import CARD
from xr0_sim.atomic import write_json
from xr0_sim.errors import ConfigError

if TYPE_CHECKING:
    from experiments.study.study import Study

MOST_SEEDS = 1000
"""Seeds at which a study ends in any case, where no bound is named (chosen)."""
UNTIL = "until.json"
"""Tells that the number of seeds was chosen by looking: intervals are confidence sequences then."""


def run_until(
    study: Study, target: str, most_seeds: int, folder: str | Path | None, **how: Any
) -> Study:
    """Adds seeds, a batch at a time, until the target is met or its bound reached.

    The seeds that the study has are its first batch, and as many are added each time. Intervals
    are looked at after whole batches only.

    Args:
        study: The study; its seeds grow.
        target: See `Until.parse`.
        most_seeds: Seeds at which it ends in any case.
        folder: See `Study.run`; a folder of this study is continued.
        **how: See `Study.run`.

    Raises:
        ConfigError: The target cannot be read, or the study has more seeds than its bound.
    """
    until = Until.parse(target, most_seeds)
    batch = len(study.seeds)
    if batch > most_seeds:
        raise ConfigError(
            f"until: expected a bound of at least the {batch} seeds of the first batch, "
            f"got {most_seeds}"
        )
    place = folder or study.folder
    if place is not None and (Path(place) / UNTIL).is_file():
        batch = int(json.loads((Path(place) / UNTIL).read_text(encoding="utf-8"))["batch"])
    if place is not None and (Path(place) / CARD).is_file():
        stored = type(study).load(place).seeds
        if stored[: len(study.seeds)] == study.seeds:
            study.design = replace(study.design, seeds=stored)
    limit_s = max(c.max_ticks / c.control_hz for c in study.resolved().values())
    while True:
        study.run(place, **how)
        place = study.folder
        assert place is not None
        write_json(place / UNTIL, {"until": target, "most_seeds": most_seeds, "batch": batch})
        told = study.frame(), study.factors, study.reference, limit_s
        if until.done(*told):
            return study
        first, count = max(study.seeds) + 1, min(batch, most_seeds - len(study.seeds))
        seeds = (*study.seeds, *range(first, first + count))
        study.design = replace(study.design, seeds=seeds)
