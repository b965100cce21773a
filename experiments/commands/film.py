"""``xr0-sim film``: a film of an episode that was run before, bit-equal to what happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.runner.episode_rows import parse_rows
from experiments.runner.film_again import film_again
from experiments.runner.film_options import SCENE_CAMERA, FilmOptions, film_options
from experiments.runner.run_folder import CARD, EPISODES
from experiments.runner.stored_condition import stored_condition
from experiments.study.episodes import film_episode
from experiments.study.folder import CARD as STUDY_CARD
from experiments.study.study import Study
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import read_run_card


@dataclass(frozen=True)
class FilmConfig:
    """Runs one episode of a finished run or study again and films it.

    The film is kept only if the tick log is the one of the run, bit for bit.

    Attributes:
        run: Folder of a run or of a study.
        condition: Condition of a study, as its table names it: "strategy=sync, latency=80ms".
        seed: Seed of the episode.
        camera: scene (the whole table), base, left_wrist or right_wrist.
        size: WIDTHxHEIGHT [px]; default: the environment's own.
        no_insets: Leave the wrist views out of the corners of a film of the scene.
        video_fps: Frames per second, a divisor of the control rate; the film plays in real time.
            Default 15, or the next lower that divides it.
    """

    run: Annotated[str, tyro.conf.Positional] = ""
    condition: str = ""
    seed: int = 0
    camera: str = SCENE_CAMERA
    size: str | None = None
    no_insets: bool = False
    video_fps: int | None = None


def run(config: FilmConfig) -> int:
    """Films, prints the path, returns the exit status."""
    folder = Path(config.run)
    if config.run and (folder / STUDY_CARD).is_file():
        study = Study.load(folder)
        name = study.find(config.condition if config.condition else {})
        film = _film(config, study.resolved()[name].control_hz)
        print(film_episode(study, name, config.seed, folder, film))
        return 0
    if not config.run or not (folder / CARD).is_file():
        raise ConfigError(
            f"film {config.run or '(nothing)'}: expected the folder of a run, with a {CARD}, or "
            f"of a study, with a {STUDY_CARD}"
        )
    if config.condition:
        raise ConfigError("--condition: expected the folder of a study with it, got a run's")
    condition = stored_condition(read_run_card(folder / CARD)["config"], str(folder / CARD))
    rows = parse_rows(_rows_of(folder), folder / EPISODES)
    if config.seed not in rows:
        known = ", ".join(map(str, sorted(rows)[:10])) or "none"
        raise ConfigError(f"--seed: expected one of the run's, got {config.seed}; it has {known}")
    film = _film(config, condition.control_hz)
    print(film_again(condition, config.seed, rows[config.seed]["digest"], film, folder))
    return 0


def _film(config: FilmConfig, control_hz: int) -> FilmOptions:
    insets = not config.no_insets
    return film_options(
        config.video_fps, config.camera, config.size, insets=insets, control_hz=control_hz
    )


def _rows_of(folder: Path) -> bytes:
    path = folder / EPISODES
    return path.read_bytes() if path.is_file() else b""
