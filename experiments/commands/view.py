"""``xr0-sim view``: one episode of a run as a page: timeline, replay beside its twin, film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from envs.tasks import make_env, register_events
from experiments.report.episode_page import Played, write_episode_page
from experiments.report.study_media import Film
from experiments.runner.episode_rows import Row, log_path, parse_rows
from experiments.runner.episode_run import VIDEO_FOLDER
from experiments.runner.motion_again import motion_again
from experiments.runner.run_folder import CARD, EPISODES
from experiments.runner.stored_condition import stored_condition
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import read_run_card
from xr0_sim.record.ticklog import read_ticklog

LARGEST_FILM_MB = 8.0
"""Films up to this size go into the page, larger ones are linked."""


@dataclass(frozen=True)
class ViewConfig:
    """Writes a page that shows one episode; it opens in any browser, without a network.

    The recorded actions are played again, without the policy, and must lead where the log says.

    Attributes:
        run: Folder of a run, with tick logs.
        seed: Seed of the episode; default: the first of the run.
        out: The page; default: RUN/view_seedN.html.
        no_replay: Leave the replay in three dimensions out.
    """

    run: Annotated[str, tyro.conf.Positional] = ""
    seed: int | None = None
    out: str | None = None
    no_replay: bool = False


def run(config: ViewConfig) -> int:
    """Writes the page, prints its path, returns the exit status."""
    folder = Path(config.run)
    if not config.run or not (folder / CARD).is_file():
        raise ConfigError(
            f"view {config.run or '(nothing)'}: expected the folder of a run, with a {CARD}"
        )
    row = _row(folder, config.seed)
    seed = int(row["seed"])
    condition = stored_condition(read_run_card(folder / CARD)["config"], str(folder / CARD))
    played = [("episode", condition.events, log_path(folder, seed))]
    if condition.events:
        played.append(("undisturbed twin", (), log_path(folder, seed, twin=True)))
    tables = [(name, events, read_ticklog(path)) for name, events, path in played]
    if config.no_replay:
        shown = [Played(name, table) for name, _, table in tables]
    else:
        register_events(condition.env)
        env = make_env(condition.env, **condition.env_kwargs)
        try:
            shown = [
                Played(name, table, motion_again(env, seed, events, table))
                for name, events, table in tables
            ]
        finally:
            env.close()
    out = Path(config.out) if config.out else folder / f"view_seed{seed}.html"
    twin = shown[1] if len(shown) > 1 else None
    print(write_episode_page(out, shown[0], twin, row, condition.label, _films(folder, row)))
    return 0


def _row(folder: Path, seed: int | None) -> Row:
    path = folder / EPISODES
    rows = parse_rows(path.read_bytes() if path.is_file() else b"", path)
    if not rows or (seed is not None and seed not in rows):
        known = ", ".join(map(str, sorted(rows)[:10])) or "none"
        raise ConfigError(f"--seed: expected one of the run's, got {seed}; it has {known}")
    return rows[min(rows) if seed is None else seed]


def _films(folder: Path, row: Row) -> list[Film]:
    path = folder / VIDEO_FOLDER / str(row.get("video"))
    if not row.get("video") or not path.is_file():
        return []
    embedded = path.stat().st_size < LARGEST_FILM_MB * 1e6
    return [Film("film of the episode", path, embedded)]
