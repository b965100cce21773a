"""Lays the towel of a running scene somewhere else, or asks for another fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xr0_sim.errors import SimulationError

if TYPE_CHECKING:
    from envs.towel_folding.env import TowelFoldingEnv

SHIFT_M, TURN_RAD = 0.05, 0.35
"""Largest displacement along x and y, and largest turn."""
REDRAWN_SHARE = 0.4
"""Share of scenes in which another fold is asked for."""
SETTLE_TICKS = 2


def scatter_towel(env: TowelFoldingEnv, rng: np.random.Generator) -> bool:
    """Moves the towel under hands that do not hold it, asks for something else, lets it settle.

    Returns:
        False where the physics failed; the scene is then of no use.
    """
    if not env.held_arms:
        env.displace(rng.uniform(-SHIFT_M, SHIFT_M, 2), float(rng.uniform(-TURN_RAD, TURN_RAD)))
    if rng.random() < REDRAWN_SHARE:
        env.redraw_instruction(rng)
    still = env.robot_state().command
    try:
        return not any(env.advance(still)[1] for _ in range(SETTLE_TICKS))
    except SimulationError:
        return False
