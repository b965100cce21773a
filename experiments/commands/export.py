"""``xr0-sim ship``: a trained policy with the record of its training, to where others find it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.commands.run_folder import (
    COMMANDS_FILE,
    COMMANDS_RECORD,
    METRICS_FILE,
    RECIPE_FILE,
    RECIPES_RECORD,
    RECORD_DIR,
    policy_folder,
    stage_folders,
)
from xr0_sim.errors import CheckpointError, ConfigError, unknown_name
from xr0_sim.registry import tasks

LARGEST_HEAD_MB = 10.0
CURVES = "curves.png"


@dataclass(frozen=True)
class ShipConfig:
    """Copies VLM and heads of a run, its loss curves and its commands, into one folder.

    Attributes:
        run_folder: Run folder of ``xr0-sim train``.
        to: Name below assets/checkpoints, or a path with a slash.
        heads: Heads to ship, with commas.
        label: Label of the training whose heads these are, see ``xr0-sim train --label``.
        replace: Replace a policy of this name.
        task: Task of the policy; default: the one its training recorded. For policies of earlier
            versions, which recorded none.
        world: World that the policy was trained in; default: the one its training recorded.
        execution_horizon: Rows of a chunk to execute before the next inference, measured best;
            default: that of the task.
    """

    run_folder: str = "runs/blocks"
    to: str = "block_dismantling"
    heads: str = "base,sync,prefix,prefix_lambda"
    label: str = ""
    replace: bool = False
    task: str | None = None
    world: str | None = None
    execution_horizon: int | None = None


def run(config: ShipConfig) -> int:
    """Copies; returns the exit status."""
    from assets import CHECKPOINT_DIR
    from xr0_sim.model.checkpoints.manifest import CORRECTION_DIR

    source = policy_folder(Path(config.run_folder))
    target = Path(config.to) if "/" in config.to else CHECKPOINT_DIR / config.to
    heads = config.heads.split(",")
    _check(source, target, heads, config.replace)
    fresh, old = (target.with_name(f".{target.name}.{end}") for end in ("new", "old"))
    try:
        fresh.mkdir(parents=True)
        for file in source.glob("*.*"):
            shutil.copy2(file, fresh)
        for head in heads:
            shutil.copytree(source / "heads" / head, fresh / "heads" / head)
        if (source / CORRECTION_DIR).is_dir():
            shutil.copytree(source / CORRECTION_DIR, fresh / CORRECTION_DIR)
        _bind(config, fresh, heads)
        _record(config, heads, fresh / RECORD_DIR)
        left = _carry_correction(target, fresh)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {size / 1e6:.1f} MB, heads {', '.join(heads)}")
    if left:
        print(
            f"{target}: its correction head was trained for other weights and is gone; train one "
            f"with xr0-sim train-correction --checkpoint {config.to}",
            file=sys.stderr,
        )
    return 0


def _carry_correction(earlier: Path, fresh: Path) -> bool:
    """Keeps the correction head of a replaced policy if it fits; whether one did not."""
    from xr0_sim.model.checkpoints.manifest import CORRECTION_DIR
    from xr0_sim.model.correction.files import load_correction

    old, new = (policy / CORRECTION_DIR for policy in (earlier, fresh))
    if new.exists() or not old.is_dir():
        return False
    shutil.copytree(old, new)
    try:
        load_correction(fresh)
    except CheckpointError:
        shutil.rmtree(new)
        return True
    return False


def _check(source: Path, target: Path, heads: list[str], replace: bool) -> None:
    if not (source / "config.json").is_file():
        raise CheckpointError(f"--run-folder: expected a policy in {source}, found none; train it")
    found = sorted(path.parent.name for path in source.glob("heads/*/config.json"))
    for head in heads:
        if head not in found:
            raise unknown_name(f"head of {source}", head, found)
        size = sum(f.stat().st_size for f in (source / "heads" / head).iterdir()) / 1e6
        if size > LARGEST_HEAD_MB:
            raise CheckpointError(
                f"head {head}: expected at most {LARGEST_HEAD_MB} MB, got {size:.1f}; use a "
                "smaller preset"
            )
    if target.exists() and not replace:
        raise ConfigError(f"--to: {target} exists; use --replace or another name")


def _bind(config: ShipConfig, policy: Path, heads: list[str]) -> None:
    """Completes the record of what belongs together, and holds the copied files to it."""
    from envs.tasks import task_spec
    from envs.world import find_world
    from xr0_sim.model.checkpoints.manifest import read_manifest, record_checkpoint, record_shared
    from xr0_sim.model.checkpoints.shipped import load_config

    found = read_manifest(policy)
    recorded = None if found is None else found.task
    task = config.task or recorded
    if task is None or (recorded is not None and task != recorded):
        raise ConfigError(
            f"--task: expected the task of the policy, {recorded or ' or '.join(tasks)}, got "
            f"{config.task or 'none'}"
        )
    if recorded is None:
        record_checkpoint(policy, task)
    trained = None if found is None else found.world
    if config.world is not None:
        find_world(config.world)
        if trained not in (None, config.world):
            raise ConfigError(
                f"--world: expected {trained}, in which it was trained, got {config.world}"
            )
    horizon = config.execution_horizon or task_spec(task).execution_horizon
    record_shared(policy, (), task, horizon, world=config.world)
    for head in heads:
        load_config(policy, head)


def _record(config: ShipConfig, heads: list[str], folder: Path) -> None:
    """Loss curves of all stages as JSON lines and as a picture, switches of heads, commands."""
    folder.mkdir()
    run_folder = Path(config.run_folder)
    stages = stage_folders(run_folder, config.label, heads)
    curves = {}
    for name, stage in stages.items():
        path = stage / METRICS_FILE
        if not path.is_file():
            raise CheckpointError(f"record of {name}: expected {path}; check --label")
        shutil.copy2(path, folder / f"{name}.jsonl")
        curves[name] = [json.loads(line) for line in path.read_text().splitlines()]
    recipes = {
        head: json.loads((stages[head] / RECIPE_FILE).read_text())
        for head in heads
        if (stages[head] / RECIPE_FILE).is_file()
    }
    (folder / RECIPES_RECORD).write_text(json.dumps(recipes, indent=1, sort_keys=True) + "\n")
    commands = run_folder / COMMANDS_FILE
    if commands.is_file():
        notes = [json.loads(line) for line in commands.read_text().splitlines()]
        for note in notes:
            note["config"] = _portable(note["config"], run_folder.resolve().parent)
        (folder / COMMANDS_RECORD).write_text(json.dumps(notes, indent=1, sort_keys=True) + "\n")
    draw_curves(curves, folder / CURVES)


def _portable(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Absolute paths as seen from where the run folder lies: a record names no machine."""
    return {
        key: os.path.relpath(value, base)
        if isinstance(value, str) and os.path.isabs(value)
        else value
        for key, value in values.items()
    }


def draw_curves(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Loss of every stage over its steps: VLM terms on the left, flow loss of heads right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    terms = ("pointing", "offset", "regression", "classes", "proposal", "flow")
    for term in terms:
        rows = [row for row in curves["vlm"] if term in row]
        left.plot([r["step"] for r in rows], [r[term] for r in rows], label=term, lw=1.3)
    for name, rows in curves.items():
        if name != "vlm":
            rows = [row for row in rows if "loss" in row]
            right.plot([r["step"] for r in rows], [r["loss"] for r in rows], label=name, lw=1.3)
    for axis, title in ((left, "VLM: training losses"), (right, "action expert: flow loss")):
        axis.set(title=title, xlabel="step", yscale="log")
        axis.grid(alpha=0.3, which="both")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)
