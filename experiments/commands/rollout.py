"""``xr0-sim rollout``: episodes of one policy under one strategy and one latency."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from experiments.options.condition_options import ConditionOptions
from experiments.report.columns import (
    condition_summary,
    invalid_line,
    stop_line,
    summary_object,
    upright_table,
)
from experiments.runner.condition import Condition
from experiments.runner.film_options import (
    SCENE_CAMERA,
    film_options,
    filmed_seeds,
)
from experiments.runner.pool import TaskPool
from experiments.runner.progress import Progress
from experiments.runner.result_folder import fresh_folder
from experiments.runner.run_folder import RunFolder, joint_digest
from experiments.runner.runner import renderer_for, run_condition, seed_range
from xr0_sim.metrics.summary import episode_count
from xr0_sim.record.runcard import to_json

DEFAULT_PARENT = "out"


@dataclass(frozen=True)
class RolloutConfig(ConditionOptions):
    """Runs episodes and writes videos, tick logs, a run card and a table.

    With an event every seed also runs as its undisturbed twin, for the reaction time.

    Attributes:
        episodes: Number of episodes.
        seed: Seed of the first; the others follow.
        workers: Worker processes; the results do not depend on it.
        video: Parent folder of the run, which is filmed.
        video_fps: Frames per second of the videos, a divisor of the control rate; they play in
            real time. Default 15, or the next lower that divides it.
        film: Which films are kept: all, failures, first:N or none.
        camera: What films show: scene (the whole table), base, left_wrist or right_wrist.
        size: WIDTHxHEIGHT of films [px]; default: the environment's own.
        no_insets: Leave the wrist views out of the corners of films of the scene.
        no_video: Do not film; the same as --film none.
        out: Folder of the run; if it exists, its missing seeds are run.
        json: Print the summary as one JSON object.
    """

    episodes: int = 10
    seed: int = 0
    workers: int = 1
    video: str | None = None
    video_fps: int | None = None
    film: str = "all"
    camera: str = SCENE_CAMERA
    size: str | None = None
    no_insets: bool = False
    no_video: bool = False
    out: str | None = None
    json: bool = False


def run(config: RolloutConfig) -> int:
    """Runs, prints, returns the exit status."""
    condition = config.condition()
    seeds = seed_range(config.seed, config.episodes)
    filmed, keep = filmed_seeds("none" if config.no_video else config.film, seeds)
    insets, hz = not config.no_insets, condition.control_hz
    film = film_options(config.video_fps, config.camera, config.size, keep, insets, hz)
    renderer = renderer_for(condition, len(filmed) > 0)
    with TaskPool(config.workers) as pool:
        path = config.out or fresh_folder(config.video or DEFAULT_PARENT, _folder_name(config))
        folder = RunFolder(path, condition, seeds, renderer)
        found = len(seeds) - len(folder.missing(seeds))
        if found:
            _say(f"{path}: {found} of {len(seeds)} episodes are there already")
        status = 0
        try:
            with folder, Progress(len(seeds) - found, condition.label) as progress:
                run_condition(
                    condition, seeds, pool, progress, folder=folder, film=film, filmed=filmed
                )
        except KeyboardInterrupt:
            status = 130
    rows = [folder.rows[seed] for seed in seeds if seed in folder.rows]
    summary = {
        **summary_object(rows, len(seeds)),
        "digest": joint_digest(rows),
        "out": str(folder.path),
        "config": to_json(condition),
    }
    folder.write_summary(summary)
    _show(config, condition, folder, rows, summary)
    if status:
        _say(f"interrupted: {len(rows)} of {len(seeds)} episodes kept; --out {path} continues")
    return status


def _folder_name(config: RolloutConfig) -> str:
    head = f"_{config.head}" if config.head else ""
    event = "" if config.event in ("", "none") else f"_{config.event}"
    return f"{config.policy}{head}_{config.strategy}_{config.latency}{event}"


def _show(
    config: RolloutConfig,
    condition: Condition,
    folder: RunFolder,
    rows: list[Any],
    summary: dict[str, Any],
) -> None:
    if config.json:
        print(json.dumps(to_json(summary), ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    if rows:
        found = condition_summary(rows)
        title = f"{condition.label}, n = {episode_count(found)}"
        Console().print(upright_table(found, title))
        if found.invalid:
            print(f"invalid  {invalid_line(rows)}")
        if stop_line(rows):
            print(f"stopped  {stop_line(rows)}")
    videos = [row["video"] for row in rows if row["video"]]
    print(f"results  {folder.path}")
    if videos:
        print(f"videos   {folder.path / 'videos'}  ({len(videos)} files)")
    logs = "all" if summary["complete"] else f"{len(rows)} of {summary['requested']}"
    print(f"digest   {summary['digest']}  ({logs} tick logs)")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
