"""How many rows of a chunk the trained policies execute before they look again (T_e)."""

from __future__ import annotations

from envs.tasks import task_spec
from xr0_sim.registry import tasks

DEFAULT_HORIZON = 20
"""Rows of a checkpoint with another name than a task's."""


def execution_horizon_for(name: str) -> int:
    """Rows that suit a shipped checkpoint, named after its task, or any other."""
    return task_spec(name).execution_horizon if name in tasks else DEFAULT_HORIZON
