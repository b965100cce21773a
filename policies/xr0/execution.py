"""How many rows of a chunk the trained policies execute before they look again (T_e)."""

from __future__ import annotations

EXECUTION_HORIZONS = {"block_dismantling": 20, "towel_folding": 8}
"""Task, and name of the checkpoint that ships for it -> rows, measured best in the search that
``experiments/LOG.md`` records."""
DEFAULT_HORIZON = 20
"""Rows of a checkpoint with another name."""


def execution_horizon_for(name: str) -> int:
    """Rows that suit a shipped checkpoint, or any other."""
    return EXECUTION_HORIZONS.get(name, DEFAULT_HORIZON)
