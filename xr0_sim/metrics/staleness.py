"""How old the executed actions were, and how often there were none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class Staleness:
    """Action age and starvation of one episode.

    The age of an action is the tick it is executed in minus the tick its observation was captured
    in; held ticks have none. A sync executor starves by design: its waits are counted too.

    Attributes:
        age_mean_ticks: Mean age.
        age_p95_ticks: 95th percentile of the age.
        age_max_ticks: Greatest age.
        starved_ticks: Ticks without a fresh action.
        longest_gap_ticks: Longest run of such ticks.
        hold_share: Their share of all ticks.
        initial_wait_ticks: How many of them came before the first action.
    """

    age_mean_ticks: float
    age_p95_ticks: float
    age_max_ticks: float
    starved_ticks: int
    longest_gap_ticks: int
    hold_share: float
    initial_wait_ticks: int


def staleness(age_ticks: ArrayLike, hold: ArrayLike) -> Staleness:
    """Staleness from two tick-log columns.

    Args:
        age_ticks: (K,) age per tick; ignored where the robot held.
        hold: (K,) whether the robot held its last command.
    """
    age, held = np.asarray(age_ticks), np.asarray(hold, dtype=bool)
    if age.shape != held.shape or age.ndim != 1 or len(age) == 0:
        raise ConfigError(
            f"staleness: expected two columns of equal length >= 1, got {age.shape}, {held.shape}"
        )
    fresh = age[~held].astype(np.float64)
    # Runs of held ticks lie between the places where the padded column changes.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int8), [0]])))
    runs = edges[1::2] - edges[::2]
    return Staleness(
        age_mean_ticks=float(fresh.mean()) if len(fresh) else np.nan,
        age_p95_ticks=float(np.percentile(fresh, 95)) if len(fresh) else np.nan,
        age_max_ticks=float(fresh.max()) if len(fresh) else np.nan,
        starved_ticks=int(held.sum()),
        longest_gap_ticks=int(runs.max(initial=0)),
        hold_share=float(held.mean()),
        initial_wait_ticks=int(runs[0]) if held[0] else 0,
    )
