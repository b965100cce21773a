"""``xr0-sim verify``: is a study what it says, and does it come out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro

from experiments.runner.pool import TaskPool
from experiments.study.study import Study
from experiments.study.verify import check_manifest, verify
from xr0_sim.errors import ConfigError
from xr0_sim.record.processor import processor_kind

DIFFERENT = 1


@dataclass(frozen=True)
class VerifyConfig:
    """Runs random rows of a finished study again, from their beginning, and compares them.

    Exit status 0 if all are the same bit for bit, 1 if one is not.

    Attributes:
        study: Folder of the study.
        rows: How many rows are run again.
        seed: Seed of their choice.
        workers: Worker processes.
    """

    study: Annotated[str, tyro.conf.Positional] = ""
    rows: int = 5
    seed: int = 0
    workers: int = 1


def run(config: VerifyConfig) -> int:
    """Runs, prints, returns the exit status."""
    if not config.study:
        raise ConfigError("verify: expected the folder of a study, got nothing")
    if config.rows < 1 or config.seed < 0:
        raise ConfigError(
            f"--rows, --seed: expected >= 1 and >= 0, got {config.rows}, {config.seed}"
        )
    study = Study.load(config.study)
    problem = check_manifest(study)
    print(f"manifest  {problem or 'the rows are those that it was written for'}", flush=True)
    status, differs = DIFFERENT if problem else 0, False
    with TaskPool(config.workers) as pool:
        for found in verify(study, config.rows, np.random.default_rng(config.seed), pool):
            told = f"DIFFERS in {', '.join(found.differs[:5])}" if found.differs else "same"
            print(f"{found.condition}, seed {found.seed}: {told}", flush=True)
            status = DIFFERENT if found.differs else status
            differs = differs or bool(found.differs)
    if differs:
        card = study.card or {}
        print(
            "rows repeat bit for bit with the code, the libraries and the kind of processor that "
            f"made them; these: commit {card.get('commit', 'unknown')}, "
            f"{card.get('platform', 'unknown platform')}, processor "
            f"{card.get('processor', 'unknown')}; here: {processor_kind()}"
        )
    return status
