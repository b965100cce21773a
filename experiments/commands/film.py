"""``xr0-sim film``: a film of an episode that was run before, bit-equal to what happened."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.runner.episode_rows import parse_rows
from experiments.runner.episode_run import VIDEO_FOLDER, EpisodeTask
from experiments.runner.film_options import DEFAULT_FPS, SCENE_CAMERA, film_options
from experiments.runner.run_folder import CARD, EPISODES
from experiments.runner.runner import renderer_for
from experiments.runner.seed_run import film_seed
from experiments.runner.stored_condition import stored_condition
from xr0_sim.errors import ConfigError, DatasetError, not_written
from xr0_sim.record.runcard import read_run_card


@dataclass(frozen=True)
class FilmConfig:
    """Runs one episode of a finished run again and films it.

    The film is kept only if the tick log is the one of the run, bit for bit.

    Attributes:
        run: Folder of the run.
        seed: Seed of the episode.
        camera: scene (the whole table), base, left_wrist or right_wrist.
        size: WIDTHxHEIGHT [px]; default: the environment's own.
        no_insets: Leave the wrist views out of the corners of a film of the scene.
        video_fps: Frames per second, a divisor of 30; the film plays in real time.
    """

    run: Annotated[str, tyro.conf.Positional] = ""
    seed: int = 0
    camera: str = SCENE_CAMERA
    size: str | None = None
    no_insets: bool = False
    video_fps: int = DEFAULT_FPS


def run(config: FilmConfig) -> int:
    """Films, prints the path, returns the exit status."""
    folder = Path(config.run)
    if not config.run or not (folder / CARD).is_file():
        raise ConfigError(
            f"film {config.run or '(nothing)'}: expected the folder of a run, with a {CARD}"
        )
    film = film_options(config.video_fps, config.camera, config.size, insets=not config.no_insets)
    condition = stored_condition(read_run_card(folder / CARD)["config"], str(folder / CARD))
    rows = parse_rows(_rows_of(folder), folder / EPISODES)
    if config.seed not in rows:
        known = ", ".join(map(str, sorted(rows)[:10])) or "none"
        raise ConfigError(f"--seed: expected one of the run's, got {config.seed}; it has {known}")
    renderer_for(condition, film=True)
    videos = folder / VIDEO_FOLDER
    try:
        videos.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".film-", dir=folder) as scratch:
            task = EpisodeTask(condition, config.seed, Path(scratch), film)
            digest, path = film_seed(task)
            if digest != rows[config.seed]["digest"] or path is None:
                raise DatasetError(
                    f"{folder}, seed {config.seed}: expected the tick log of the run again, got "
                    f"{digest[:16]} for {rows[config.seed]['digest'][:16]}; no film is kept, use "
                    "the versions and weights that the run card names"
                )
            target = videos / path.name
            os.replace(path, target)
    except OSError as error:
        raise not_written(videos, error) from error
    print(target)
    return 0


def _rows_of(folder: Path) -> bytes:
    path = folder / EPISODES
    return path.read_bytes() if path.is_file() else b""
