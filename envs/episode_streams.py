"""Random streams of an episode beside the scene's own: drawing from one never moves another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class SceneStream(IntEnum):
    """What a random number is for; part of the result format, never renumber.

    The numbers lie beyond those of `xr0_sim.runtime.random_streams.Stream`.
    """

    LOOKS = 101
    OPTICS = 102
    FRAME = 103
    FRAME_AGE = 104
    READING = 105


def scene_rng(seed: int, stream: SceneStream, *keys: int) -> np.random.Generator:
    """Generator of one stream of an episode.

    Args:
        seed: Seed of the episode.
        stream: What the numbers are for.
        *keys: Further whole numbers, such as the tick; always the same count per stream.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *keys)))
