"""Named random streams of an episode, so that cells of an ablation share their random numbers.

Every draw is keyed by what it is for, never by how many draws came before it: the n-th inference
of episode e gets the same latency variates under every strategy.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from xr0_sim.errors import ConfigError


class Stream(IntEnum):
    """What a random number is for; the values are part of the result format, never renumber."""

    LATENCY = 1
    EVENT = 2


def check_seed(seed: int) -> int:
    """Returns ``seed`` if it is a non-negative integer, the only kind numpy can spread."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed: expected an integer >= 0, got {seed!r}")
    return int(seed)


def stream_rng(episode_seed: int, stream: Stream, *keys: int) -> np.random.Generator:
    """Generator of one stream of an episode.

    Args:
        episode_seed: Seed of the episode.
        stream: What the numbers are for.
        *keys: Further integers, e.g. the inference number; always the same count per stream.
    """
    sequence = np.random.SeedSequence(check_seed(episode_seed), spawn_key=(int(stream), *keys))
    return np.random.default_rng(sequence)
