"""Motions that are tried again and again: a hand that closes where it has closed before.

A hand *closes* when its jaw, told open before, is told shut. An episode *loops* if one hand closes
`LOOP` times or more within `NEAR_M` of one place. A hand that carries, or closes on the next thing
elsewhere, does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.errors import ConfigError

SHUT, OPEN = 0.35, 0.65
"""Opening fractions below and above which a jaw is told shut and open; chosen."""
NEAR_M = 0.05
"""Distance of places that count as one [m]; about the length of a brick; chosen."""
LOOP = 3
"""Closings at one place from which on an episode loops."""


def closings(jaw: ArrayLike) -> NDArray[np.intp]:
    """Ticks in which a jaw that was told open is told shut.

    Args:
        jaw: (K,) commanded opening fraction, 0 shut to 1 open. What lies between `SHUT` and `OPEN`
            leaves a jaw as it is; before the first of either it is neither.
    """
    told = np.asarray(jaw, dtype=np.float64)
    state = np.where(told < SHUT, 0, np.where(told > OPEN, 1, -1))
    known = np.flatnonzero(state >= 0)
    steps = np.flatnonzero(np.diff(state[known]) == -1)
    return known[steps + 1]


def most_closings(jaws: ArrayLike, tool_pos: ArrayLike) -> int:
    """How often one hand closes at one place, at most.

    Args:
        jaws: (K, arms) commanded opening fractions.
        tool_pos: (K, arms, 3) tool positions [m].

    Returns:
        The largest number of closings of a hand within `NEAR_M` of one of them; 0 without any.
    """
    jaws, places = np.asarray(jaws, float), np.asarray(tool_pos, float)
    if jaws.ndim != 2 or places.shape != (*jaws.shape, 3):
        raise ConfigError(
            f"closings: expected jaws (K, arms) and tools (K, arms, 3), got {jaws.shape} and "
            f"{places.shape}"
        )
    most = 0
    for arm in range(jaws.shape[1]):
        where = places[closings(jaws[:, arm]), arm]
        far = np.linalg.norm(where[:, None] - where[None], axis=-1)
        most = max(most, *(far <= NEAR_M).sum(axis=1).tolist(), 0)
    return most
