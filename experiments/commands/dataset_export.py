"""``xr0-sim dataset export``: the episodes of a run, or a sample store, as a LeRobotDataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from envs.control_rate import check_recorded_rate
from envs.tasks import check_on_stage
from experiments.runner.episode_rows import Row, is_valid, log_problem, parse_rows
from experiments.runner.run_folder import CARD, EPISODES
from experiments.runner.stored_condition import stored_condition
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.data.chunk_schema import META_FILE, SHARD_DIR
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.record.runcard import read_run_card

if TYPE_CHECKING:
    from experiments.datagen.lerobot_export import Source
    from experiments.datagen.lerobot_run import RunSource
    from experiments.datagen.lerobot_store import StoreSource


@dataclass(frozen=True)
class DatasetExportConfig:
    """Writes a run or a sample store as a LeRobotDataset v3.0.

    Of a run every tick becomes a frame, with three cameras, state, action and log: the recorded
    actions are played again, without the policy, and an episode that comes out otherwise than its
    tick log says ends the export. Of a store every sample becomes a frame, with its whole chunk.
    An interrupted export goes on where it was.

    Attributes:
        source: Folder of a run, with tick logs, or of a sample store.
        out: Folder of the set; must not exist. Default: SOURCE/lerobot or SOURCE/minari.
        format: Format to write: lerobot, or minari, transitions of the state environment without
            pictures. Of a run.
        image_size: Side of the pictures [px], even; default: that of the world. Of a run.
        successes_only: Leave failed episodes out. Of a run.
    """

    source: Annotated[str, tyro.conf.Positional] = ""
    out: str | None = None
    format: Literal["lerobot", "minari"] = "lerobot"
    image_size: int | None = None
    successes_only: bool = False


def run(config: DatasetExportConfig) -> int:
    """Exports, prints one line per episode and the folder, returns the exit status."""
    from experiments.datagen.lerobot_export import export_set
    from experiments.datagen.lerobot_run import RunSource
    from experiments.datagen.minari_export import export_minari

    folder = Path(config.source)
    if config.source and (folder / CARD).is_file():
        source: Source = _run_source(folder, config)
    elif config.source and (folder / META_FILE).is_file() and (folder / SHARD_DIR).is_dir():
        source = _store_source(folder, config)
    else:
        raise ConfigError(
            f"dataset export {config.source or '(nothing)'}: expected the folder of a run, with a "
            f"{CARD}, or of a sample store, with a {META_FILE}"
        )
    target = Path(config.out) if config.out else folder / config.format
    if isinstance(source, RunSource) and config.format == "minari":
        export_minari(source, target, lambda line: print(line, flush=True))
    else:
        export_set(source, target, lambda line: print(line, flush=True))
    print(target)
    return 0


def _run_source(folder: Path, config: DatasetExportConfig) -> RunSource:
    from experiments.datagen.lerobot_run import RunSource

    if config.image_size is not None and config.image_size % 2:
        raise ConfigError(f"--image-size: expected an even number, got {config.image_size}")
    card = read_run_card(folder / CARD)
    condition = stored_condition(card["config"], str(folder / CARD))
    check_on_stage(condition.env, "dataset export")
    check_recorded_rate(condition.control_hz, CONTROL_HZ, "dataset export")
    rows = _rows(folder, config.successes_only)
    return RunSource(folder, card, condition, rows, config.image_size)


def _store_source(folder: Path, config: DatasetExportConfig) -> StoreSource:
    from experiments.datagen.lerobot_store import StoreSource
    from xr0_sim.data.chunk_store import ChunkStore

    if config.image_size is not None or config.successes_only or config.format != "lerobot":
        raise ConfigError(
            f"dataset export {folder}: expected neither --image-size nor --successes-only nor "
            "--format minari for a sample store, whose pictures are drawn and whose episodes are "
            "chosen; leave them out"
        )
    return StoreSource(ChunkStore(folder))


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
