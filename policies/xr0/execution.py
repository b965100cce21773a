"""How many rows of a chunk the trained policies execute before they look again (T_e)."""

from __future__ import annotations

EXECUTE_STEPS = {"block_dismantling": 20, "towel_folding": 8}
"""Task, and name of the checkpoint that ships for it -> rows, measured best in the search that
``experiments/LOG.md`` records."""
DEFAULT_EXECUTE_STEPS = 20
"""Rows of a checkpoint with another name."""


def execute_steps(name: str) -> int:
    """Rows that suit a shipped checkpoint, or any other."""
    return EXECUTE_STEPS.get(name, DEFAULT_EXECUTE_STEPS)
