"""Single episodes of a study: their tick logs, and films of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.report.study_media import Film
from experiments.runner.episode_rows import log_path
from experiments.runner.episode_run import VIDEO_FOLDER
from experiments.runner.film_again import film_again
from experiments.runner.film_options import SCENE_CAMERA, FilmOptions, film_options
from experiments.study.folder import TICKS
from experiments.study.jobs import ticks_name
from xr0_sim.errors import ConfigError
from xr0_sim.record import TickTable, read_ticklog

if TYPE_CHECKING:
    from experiments.study.analysis import Analysis


def episode_log(study: Analysis, name: str, seed: int, *, twin: bool = False) -> TickTable:
    """Tick log of an episode, or of its undisturbed twin.

    Args:
        study: A study that kept its tick logs.
        name: Condition.
        seed: Seed.
        twin: The twin's instead; an episode without events is its own.

    Raises:
        ConfigError: No log was kept.
    """
    folder = None if study.folder is None else study.folder / TICKS / ticks_name(name)
    for as_twin in (True, False) if twin else (False,):
        path = None if folder is None else log_path(folder, seed, twin=as_twin)
        if path is not None and path.is_file():
            return read_ticklog(path)
    raise ConfigError(
        f"tick log of {name}, seed {seed}: expected one in {folder}, found none; run the study "
        "with ticks=True, which adds them"
    )


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
    films = []
    for row in failed:
        control_hz = study.resolved()[row["condition"]].control_hz
        films.append(
            Film(
                f"{row['condition']}: seed {row['seed']}, failure",
                film_episode(study, row["condition"], row["seed"], folder),
                control_hz=control_hz,
                last_tick=round(row["figures"]["duration_s"] * control_hz) - 1,
            )
        )
    return films


def film_episode(
    study: Analysis, name: str, seed: int, folder: Path, film: FilmOptions | None = None
) -> Path:
    """Runs an episode again and films it; a usual film that is there is kept.

    Args:
        study: Its rows and conditions.
        name: Condition.
        seed: Seed.
        folder: Where the film goes, into ``videos``.
        film: How it is filmed; None for the usual way.

    Raises:
        ConfigError: The study has no such row.
        DatasetError: The episode came out otherwise than its row says.
        StorageError: The film could not be written.
    """
    rows = [row for row in study.rows if (row["condition"], row["seed"]) == (name, seed)]
    if not rows:
        raise ConfigError(f"film: expected a row of the study, got {name}, seed {seed}")
    condition = study.resolved()[name]
    usual = film_options(None, SCENE_CAMERA, None, control_hz=condition.control_hz)
    film = usual if film is None else film
    camera = "" if film.camera == SCENE_CAMERA else f"{film.camera}_"
    path = folder / VIDEO_FOLDER / f"{ticks_name(name)}_{camera}seed{seed}.mp4"
    if path.is_file() and film == usual:
        return path
    return film_again(condition, seed, rows[0]["digest"], film, folder, path.name)
