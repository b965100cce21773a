"""A film of an episode that was run before: run again, and kept only if it came out the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from experiments.runner.condition import Condition
from experiments.runner.episode_run import VIDEO_FOLDER, EpisodeTask
from experiments.runner.film_options import FilmOptions
from experiments.runner.runner import renderer_for
from experiments.runner.seed_run import film_seed
from xr0_sim.errors import DatasetError, not_written


def film_again(
    condition: Condition,
    seed: int,
    digest: str,
    film: FilmOptions,
    folder: Path,
    name: str | None = None,
) -> Path:
    """Runs an episode again and films it.

    Args:
        condition: What ran.
        seed: Its seed.
        digest: Of its tick log.
        film: How it is filmed.
        folder: Where the film goes, into ``videos``.
        name: File name; None for the one that `rollout` gives.

    Raises:
        DatasetError: It came out otherwise; no film is kept.
        StorageError: The film could not be written.
    """
    renderer_for(condition, film=True)
    videos = folder / VIDEO_FOLDER
    try:
        videos.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".film-", dir=folder) as scratch:
            found, made = film_seed(EpisodeTask(condition, seed, Path(scratch), film))
            if found != digest or made is None:
                raise DatasetError(
                    f"{folder}, seed {seed}: expected the tick log of the run again, got "
                    f"{found[:16]} for {digest[:16]}; no film is kept, use the versions and "
                    "weights that the card names"
                )
            target = videos / (name or made.name)
            os.replace(made, target)
    except OSError as error:
        raise not_written(videos, error) from error
    return target
