"""``xr0-sim left-states``: where the failed episodes of runs ended, as starts for the expert."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from envs.tasks import make_env
from experiments.datagen.left_states import (
    LeftState,
    LeftStates,
    find_left_state,
    write_left_states,
)
from experiments.runner.episode_rows import is_valid, log_path, parse_rows
from experiments.runner.run_folder import CARD, EPISODES
from experiments.runner.stored_condition import stored_condition
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import read_run_card
from xr0_sim.record.ticklog import read_ticklog


@dataclass(frozen=True)
class LeftStatesConfig:
    """Plays the failed episodes of runs again and keeps their last states.

    ``xr0-sim expert-eval --states FILE`` asks the expert to go on from them. Episodes whose goal an
    event has changed are left out.

    Attributes:
        runs: Run folders of one environment, with tick logs.
        out: File to write.
        most: Most states to keep; 0 for all.
        replace: Write over the file if it is there.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    out: str = "left_states.npz"
    most: int = 0
    replace: bool = False


def run(config: LeftStatesConfig) -> int:
    """Plays, writes, returns the exit status."""
    target = Path(config.out)
    if not config.runs or config.most < 0:
        raise ConfigError("left-states: expected at least one run folder, and --most >= 0")
    if target.exists() and not config.replace:
        raise ConfigError(f"--out: {target} is there; name another file, or give --replace")
    stage: tuple[str, dict[str, object]] | None = None
    states: list[LeftState] = []
    for folder in map(Path, config.runs):
        if not (folder / CARD).is_file():
            raise ConfigError(f"left-states {folder}: expected the folder of a run, with a {CARD}")
        condition = stored_condition(read_run_card(folder / CARD)["config"], str(folder / CARD))
        here = condition.env, dict(condition.env_kwargs)
        if stage not in (None, here):
            raise ConfigError(
                f"left-states {folder}: expected the environment of the runs before it, {stage}, "
                f"got {here}; write a file for each"
            )
        stage = here
        env = make_env(condition.env, **condition.env_kwargs)
        rows = parse_rows((folder / EPISODES).read_bytes(), folder / EPISODES)
        for seed, row in sorted(rows.items()):
            if (
                not is_valid(row)
                or row["figures"]["success"]
                or (config.most and len(states) >= config.most)
            ):
                continue
            table = read_ticklog(log_path(folder, seed))
            state = find_left_state(env, seed, condition.events, table)
            if state is not None:
                states.append(state)
        env.close()
    if stage is None or not states:
        raise ConfigError("left-states: expected failed episodes whose goal stands, found none")
    write_left_states(LeftStates(stage[0], stage[1], states), target)
    print(f"{target}: {len(states)} states, {target.stat().st_size / 1e3:.0f} kB")
    return 0
