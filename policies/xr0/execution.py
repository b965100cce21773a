"""How many rows of a chunk the trained policies execute before they look again (T_e)."""

from __future__ import annotations

from pathlib import Path

from envs.tasks import task_spec
from policies.xr0.checkpoints import find_checkpoint
from xr0_sim.model.checkpoints.manifest import read_manifest
from xr0_sim.registry import tasks

DEFAULT_HORIZON = 20
"""Rows of a checkpoint that says nothing, of a task nobody knows."""


def execution_horizon_for(checkpoint: str | Path | None) -> int:
    """Rows that suit a checkpoint: those it records, those of its task, or any.

    Args:
        checkpoint: Shipped name or directory, as `find_checkpoint` takes it.
    """
    record = read_manifest(find_checkpoint(checkpoint))
    if record is None:
        return DEFAULT_HORIZON
    if record.execution_horizon is not None:
        return record.execution_horizon
    if record.task is None or record.task not in tasks:
        return DEFAULT_HORIZON
    return task_spec(record.task).execution_horizon
