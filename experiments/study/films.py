"""Films of a study's failures: the episodes are run again, and must come out as they did."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.report.study_media import Film
from experiments.runner.episode_run import VIDEO_FOLDER, EpisodeTask
from experiments.runner.film_options import FilmOptions
from experiments.runner.runner import renderer_for
from experiments.runner.seed_run import film_seed
from experiments.study.jobs import ticks_name
from xr0_sim.errors import DatasetError, not_written

if TYPE_CHECKING:
    from experiments.study.analysis import Analysis


def film_failures(study: Analysis, folder: Path, most: int) -> list[Film]:
    """Films the first failures, in the order of the rows; a film that is there is kept.

    Args:
        study: Its rows and conditions.
        folder: Where the films go, into ``videos``.
        most: Greatest number of films.

    Raises:
        DatasetError: An episode came out otherwise than its row says.
        StorageError: A film could not be written.
    """
    failed = [row for row in study.rows if row["outcome"] == "failure"][:most]
    conditions = study.resolved()
    found = []
    try:
        (folder / VIDEO_FOLDER).mkdir(parents=True, exist_ok=True)
        for row in failed:
            name, seed = row["condition"], row["seed"]
            path = folder / VIDEO_FOLDER / f"{ticks_name(name)}_seed{seed}.mp4"
            if not path.is_file():
                renderer_for(conditions[name], film=True)
                with tempfile.TemporaryDirectory(prefix=".film-", dir=folder) as scratch:
                    task = EpisodeTask(conditions[name], seed, Path(scratch), FilmOptions())
                    digest, made = film_seed(task)
                    if digest != row["digest"] or made is None:
                        raise DatasetError(
                            f"film of {name}, seed {seed}: expected the tick log of the row again, "
                            f"got {digest[:16]} for {row['digest'][:16]}; use the versions and "
                            "weights that the study card names"
                        )
                    os.replace(made, path)
            found.append(Film(f"{name}: seed {seed}, failure", path))
    except OSError as error:
        raise not_written(folder / VIDEO_FOLDER, error) from error
    return found
