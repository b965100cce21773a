"""``xr0-sim report``: table, effects and page of a study that was run before."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.study.effects_words import headline
from experiments.study.study import Study
from experiments.study.text import study_object, study_text
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import to_json


@dataclass(frozen=True)
class ReportConfig:
    """Prints the table of a study from its rows, and in words what its factors did.

    Runs nothing, but for films.

    Attributes:
        study: Folder of the study.
        json: Print the summary as one JSON object.
        html: Write report.html beside the rows: one page that needs no network.
        films: First failures that are run again for a film, which the page links.
        table: Write the table to this file: .csv, .tex, .md or .txt; of --overview .csv or .md.
        overview: Print instead one line per level of this factor, e.g. method: success at every
            latency with L_max, and averages over the contexts that all levels share.
        halfway: Print too where success falls below half along this factor of quantities, e.g.
            speed.
        equal_compute: Print instead the table at equal compute: of every strategy the level of this
            factor that uses up the largest budget all strategies reach, e.g.
            strategy.execution_horizon.
    """

    study: Annotated[str, tyro.conf.Positional] = ""
    json: bool = False
    html: bool = False
    films: int = 0
    table: str | None = None
    overview: str | None = None
    halfway: str | None = None
    equal_compute: str | None = None


def run(config: ReportConfig) -> int:
    """Prints, returns the exit status."""
    if not config.study:
        raise ConfigError("report: expected the folder of a study, got nothing")
    study = Study.load(config.study)
    if config.overview is not None:
        others = config.json, config.html, config.films, config.halfway, config.equal_compute
        if any(others):
            raise ConfigError(
                "--overview: expected it alone or with --table, got another output too; call twice"
            )
        if config.table is not None and Path(config.table).suffix not in (".md", ".csv"):
            raise ConfigError(
                "--table: expected a name ending in .md or .csv with --overview, got "
                f"{config.table}"
            )
        lines = study.overview(config.overview)
        print(lines)
        if config.table is not None:
            print(lines.save(config.table), file=sys.stderr)
        return 0
    if config.equal_compute is not None:
        others = config.json, config.html, config.films, config.halfway, config.table
        if any(others):
            raise ConfigError("--equal-compute: expected it alone, got another output; call twice")
        print(study.table_at_equal_compute(free=config.equal_compute))
        return 0
    places = study.halfway(config.halfway) if config.halfway is not None else []
    if config.json:
        limits = study.latency_limits() if study.rows else []
        drops = study.mean_drops() if study.rows else []
        told = study_object(study) | {
            "latency_limits": [limit.to_dict() for limit in limits],
            "mean_drops": [drop.to_dict() for drop in drops],
        }
        print(json.dumps(to_json(told), ensure_ascii=False, allow_nan=False))
    else:
        print(study_text(study))
        if study.rows:
            effects = study.effects(kinds=["main"])
            print(f"\n{headline(list(effects))}")
            print("\n".join(f"- {sentence}" for sentence in effects.sentences()))
            for number, found in enumerate((*study.latency_limits(), *study.mean_drops())):
                print(f"{'' if number else chr(10)}- {found}")
    for place in places:
        print(f"- {place}", file=sys.stderr if config.json else sys.stdout)
    if config.table is not None:
        print(study.table().save(config.table), file=sys.stderr)
    if config.html or config.films:
        print(study.report(films=config.films), file=sys.stderr)
    return 0
