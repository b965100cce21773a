"""Run folders of ``xr0-sim train``: where things lie, and how one begins from a finished policy.

```
    RUN/commands.jsonl               one line per call: options, commit, versions, data
    RUN/features/                    features of the VLM, by its weights
    RUN/vlm/checkpoint/              the policy
    RUN/vlm/metrics.jsonl            loss of the VLM
    RUN/experts[_LABEL]/HEAD/        loss and switches of a head
```
"""

from __future__ import annotations

import filecmp
import json
import shutil
from pathlib import Path
from typing import Any

from xr0_sim.atomic import partial_path
from xr0_sim.errors import CheckpointError, ConfigError

FEATURES_DIR = "features"
COMMANDS_FILE = "commands.jsonl"
METRICS_FILE = "metrics.jsonl"
RECIPE_FILE = "recipe.json"
RECORD_DIR = "training"
"""In a shipped policy: loss curves, switches and commands of its run."""
COMMANDS_RECORD = "commands.json"
RECIPES_RECORD = "recipes.json"
VLM_WEIGHTS = "vlm.safetensors"


def policy_folder(run: Path) -> Path:
    """The policy of a run folder."""
    return run / "vlm" / "checkpoint"


def experts_folder(run: Path, label: str) -> Path:
    """Where base and heads of one training leave their record."""
    return run / (f"experts_{label}" if label else "experts")


def stage_folders(run: Path, label: str, heads: list[str]) -> dict[str, Path]:
    """Folder of each stage: ``vlm`` and every head.

    A head that the labelled training does not have is that of the one without a label, which a
    policy brought along.
    """
    found = {head: experts_folder(run, label) / head for head in heads}
    brought = {head: experts_folder(run, "") / head for head in heads}
    if any(folder.is_dir() for folder in found.values()):
        found = {k: found[k] if found[k].is_dir() else brought[k] for k in heads}
    return {"vlm": run / "vlm", **found}


def begin_from_policy(run: Path, policy: Path) -> None:
    """Makes a run folder that holds a finished policy, with the record of its training.

    A folder that was begun from the same VLM is left as it is, so that a stopped training goes on.

    Args:
        run: The run folder.
        policy: Folder of the policy, as ``xr0-sim ship`` writes it.

    Raises:
        ConfigError: The run folder holds another policy, or ``policy`` none.
    """
    if not (policy / VLM_WEIGHTS).is_file():
        raise ConfigError(
            f"--policy-start: expected a policy with {VLM_WEIGHTS} in {policy}, found none; give "
            "one that was trained with xr0-sim train"
        )
    there = policy_folder(run)
    if there.exists():
        weights = there / VLM_WEIGHTS
        if weights.is_file() and filecmp.cmp(weights, policy / VLM_WEIGHTS, shallow=False):
            return
        raise ConfigError(
            f"--policy-start: expected --out {run} to be new or begun from {policy}, got another "
            "policy in it; use another folder"
        )
    if (run / COMMANDS_FILE).exists() or (run / "vlm").exists():
        raise ConfigError(
            f"--policy-start: expected --out {run} to be new or begun from {policy}, got a "
            "training that is not finished; use another folder"
        )
    record = policy / RECORD_DIR
    recipes, commands = (_read(record / name) for name in (RECIPES_RECORD, COMMANDS_RECORD))
    recipes = recipes or {}
    for name, folder in stage_folders(run, "", _heads(policy)).items():
        folder.mkdir(parents=True, exist_ok=True)
        if (record / f"{name}.jsonl").is_file():
            shutil.copy2(record / f"{name}.jsonl", folder / METRICS_FILE)
        if name in recipes:
            text = json.dumps(recipes[name], indent=1, sort_keys=True)
            (folder / RECIPE_FILE).write_text(text + "\n")
    if commands:
        lines = [json.dumps(note, sort_keys=True) for note in commands]
        (run / COMMANDS_FILE).write_text("".join(f"{line}\n" for line in lines))
    fresh = partial_path(there)
    try:
        shutil.copytree(policy, fresh, ignore=shutil.ignore_patterns(RECORD_DIR))
        fresh.rename(there)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected the record of a training as JSON, got {type(error).__name__}: "
            f"{error}; restore the file or remove it"
        ) from error


def _heads(policy: Path) -> list[str]:
    return sorted(path.parent.name for path in policy.glob("heads/*/config.json"))
