"""Whether a checkpoint was trained on what it is going to be shown and asked."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym

from assets import CHECKPOINT_DIR, checkpoint_names
from envs.tasks import spec_of
from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.manifest import Manifest, instruction_words, read_manifest
from xr0_sim.runtime.strategies.base import Strategy

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

FOREIGN_WORDS = 3
"""From so many words on that only another task's policy knows, an instruction is of that task."""


def check_task(checkpoint: Path, task: str | None) -> None:
    """Rejects a checkpoint that was trained for another task.

    Args:
        checkpoint: Its directory.
        task: Task it is going to do; None where nobody knows.
    """
    record = read_manifest(checkpoint)
    trained = None if record is None else record.task
    if None not in (task, trained) and task != trained:
        raise ConfigError(
            f"checkpoint {checkpoint}: expected one trained for env {task!r}, got one for "
            f"{trained!r}; leave --checkpoint out, name another one, or use --env {trained}"
        )


def check_environment(env: gym.Env[Any, Any], task: str | None, picture_size: int) -> None:
    """Rejects an environment that shows or takes something else than the weights were trained on.

    Args:
        env: One environment, wrapped or not; one of another kind than ours is let through.
        task: Task of the weights; None where nobody knows.
        picture_size: Side of their pictures [px]; 0 for any.
    """
    inner = env.unwrapped
    found = spec_of(cast("DualArmEnv", inner)) if hasattr(inner, "action_mode") else None
    rows = {
        "action_mode": ("joint", getattr(inner, "action_mode", "joint")),
        "task": (task, found[0] if found is not None else task),
        "image_size": (picture_size, getattr(inner, "image_size", picture_size)),
    }
    for name, (wanted, got) in rows.items():
        if wanted and wanted != got:
            raise ConfigError(
                f"environment {name}: expected {wanted!r}, which the weights were trained on, got "
                f"{got!r}; make another environment or name another checkpoint"
            )


def foreign_world(checkpoint: Path, world: str) -> str | None:
    """What to tell about weights that were trained in another world; None where there is nothing.

    Args:
        checkpoint: Its directory.
        world: Name of the world that the policy is going to act in, see `envs.world`.
    """
    record = read_manifest(checkpoint)
    trained = None if record is None else record.world
    if trained in (None, world):
        return None
    return (
        f"{checkpoint.name}: trained in world {trained}, acts in world {world}; expect less, or "
        f"choose --world {trained}"
    )


def longest_prefix_of(strategy: Strategy) -> int:
    """Rows of the longest prefix that a strategy asks for; 0 for one without."""
    steps = getattr(strategy, "prefix_steps", getattr(strategy, "longest_prefix", 0))
    return int(steps if isinstance(steps, int) else getattr(steps, "longest", 0))


def check_prefix(strategy: Strategy, prefix_max: int, head: str) -> str | None:
    """Rejects a prefix longer than trained.

    Args:
        strategy: Execution strategy.
        prefix_max: Longest prefix the head was trained for, rows; 0 for none.
        head: Its name, for messages.

    Returns:
        What to tell about a head that never saw a prefix, which is a fair experiment; None where
        there is nothing to tell.
    """
    longest = longest_prefix_of(strategy)
    if longest and not prefix_max:
        return (
            f"head {head!r} was trained without a prefix and gets one of up to {longest} rows "
            f"under {strategy.label!r}; what follows is outside of its training"
        )
    if longest > prefix_max:
        raise ConfigError(
            f"strategy {strategy.label!r}: expected a prefix of at most {prefix_max} rows, which "
            f"head {head!r} was trained for, got {longest}; lower prefix_steps or longest_prefix"
        )
    return None


def check_instruction(record: Manifest, text: str) -> None:
    """Rejects an instruction of another task; warns of one without any familiar word.

    Args:
        record: Of the checkpoint; one without words lets everything pass.
        text: The instruction.
    """
    own = frozenset(record.words)
    if not own:
        return
    words = instruction_words(text)
    for task, others in _vocabularies():
        foreign = words & (others - own)
        if (
            task != record.task
            and len(foreign) >= FOREIGN_WORDS
            and len(foreign) > len(words & (own - others))
        ):
            raise ConfigError(
                f"instruction {text!r}: expected one for env {record.task!r}, which the "
                f"checkpoint was trained for, got one for {task!r}; use --checkpoint {task}"
            )
    if not words & own:
        warnings.warn(
            f"instruction {text!r} has no word that the checkpoint for {record.task!r} was trained "
            "on",
            stacklevel=2,
        )


@functools.lru_cache(maxsize=1)
def _vocabularies() -> tuple[tuple[str, frozenset[str]], ...]:
    """Task and words of every shipped checkpoint."""
    records = [read_manifest(CHECKPOINT_DIR / name) for name in checkpoint_names()]
    return tuple(
        (record.task, frozenset(record.words))
        for record in records
        if record is not None and record.task is not None
    )
