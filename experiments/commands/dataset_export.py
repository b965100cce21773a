"""``xr0-sim dataset export``: the episodes of a run as a LeRobotDataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from envs.tasks import check_on_stage
from experiments.datagen.lerobot_export import Source, export_run
from experiments.runner.episode_rows import Row, is_valid, log_problem, parse_rows
from experiments.runner.run_folder import CARD, EPISODES
from experiments.runner.stored_condition import stored_condition
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.record.runcard import read_run_card


@dataclass(frozen=True)
class DatasetExportConfig:
    """Writes the episodes of a run as a LeRobotDataset v3.0: three cameras, state, action, log.

    The recorded actions are played again, without the policy; an episode that comes out otherwise
    than its tick log says ends the export. An interrupted export goes on where it was.

    Attributes:
        run: Folder of a run, with tick logs.
        out: Folder of the set; must not exist. Default: RUN/lerobot.
        format: Format to write.
        image_size: Side of the pictures [px], even; default: that of the world.
        successes_only: Leave failed episodes out.
    """

    run: Annotated[str, tyro.conf.Positional] = ""
    out: str | None = None
    format: Literal["lerobot"] = "lerobot"
    image_size: int | None = None
    successes_only: bool = False


def run(config: DatasetExportConfig) -> int:
    """Exports, prints one line per episode and the folder, returns the exit status."""
    folder = Path(config.run)
    if not config.run or not (folder / CARD).is_file():
        raise ConfigError(
            f"dataset export {config.run or '(nothing)'}: expected the folder of a run, with a "
            f"{CARD}"
        )
    if config.image_size is not None and config.image_size % 2:
        raise ConfigError(f"--image-size: expected an even number, got {config.image_size}")
    card = read_run_card(folder / CARD)
    condition = stored_condition(card["config"], str(folder / CARD))
    check_on_stage(condition.env, "dataset export")
    rows = _rows(folder, config.successes_only)
    target = Path(config.out) if config.out else folder / "lerobot"
    source = Source(folder, card, condition, rows, config.image_size)
    export_run(source, target, lambda line: print(line, flush=True))
    print(target)
    return 0


def _rows(folder: Path, successes_only: bool) -> list[Row]:
    """Episodes to export, by seed.

    Raises:
        ConfigError: There are none.
        DatasetError: A tick log does not bear its row out.
    """
    path = folder / EPISODES
    rows = parse_rows(path.read_bytes() if path.is_file() else b"", path)
    wanted = [
        rows[seed]
        for seed in sorted(rows)
        if is_valid(rows[seed]) and (not successes_only or rows[seed]["figures"]["success"])
    ]
    if not wanted:
        kind = "successful" if successes_only else "valid"
        raise ConfigError(f"{path}: expected {kind} episodes, got none of {len(rows)}")
    for row in wanted:
        problem = log_problem(folder, row)
        if problem is not None:
            raise DatasetError(
                f"{folder}, seed {row['seed']}: expected the tick log of its row, but {problem}; "
                "run the rollout again into the same folder"
            )
    return wanted
