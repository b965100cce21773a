"""``xr0-sim report``: the table of a study that was run before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import tyro

from experiments.study.study import Study
from experiments.study.text import study_object, study_text
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import to_json


@dataclass(frozen=True)
class ReportConfig:
    """Prints the table of a study from its rows; runs nothing.

    Attributes:
        study: Folder of the study.
        json: Print the summary as one JSON object.
    """

    study: Annotated[str, tyro.conf.Positional] = ""
    json: bool = False


def run(config: ReportConfig) -> int:
    """Prints, returns the exit status."""
    if not config.study:
        raise ConfigError("report: expected the folder of a study, got nothing")
    study = Study.load(config.study)
    if config.json:
        print(json.dumps(to_json(study_object(study)), ensure_ascii=False, allow_nan=False))
    else:
        print(study_text(study))
    return 0
