"""Samples of 8 px with 4 rows, for tests of stores; not a test itself."""

from __future__ import annotations

import numpy as np

from xr0_sim.data.chunk_schema import StoreMeta
from xr0_sim.types import RobotState

META = StoreMeta(horizon=4, image_size=8, grounding_dim=3)


def sample(seed, tick=0, **changes):
    rng = np.random.default_rng([seed, tick])
    robot = RobotState(*(rng.normal(size=s) for s in ((2, 6), (2, 6), (2,), (2, 3), (2, 4), (14,))))
    return {
        "images": rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8),
        "robot": robot,
        "instruction": f"Task {seed % 3}.",
        "actions": rng.normal(size=(4, 14)),
        "action_tools": rng.normal(size=(4, 2, 7)),
        "valid_steps": 4,
        "episode_seed": seed,
        "tick": tick,
        "source": "demo",
        "grounding": rng.normal(size=3),
        "grounding_mask": np.array([True, False, True]),
    } | changes
