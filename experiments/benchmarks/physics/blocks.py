"""What a block episode adds to the figures: clutches that open late, and how bricks are carried."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.block_dismantling.clutch import Clutches
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.state import NO_BRICK
from experiments.benchmarks.physics.tool_error import tool_errors_mm


class BlockLog:
    """Clutch loads at every substep, the tools' error at every tick.

    Args:
        env: The environment after its reset.
    """

    def __init__(self, env: BlockDismantlingEnv):
        # A reader of its own: the task's keeps books of when it looked.
        self._env, self._clutches = env, Clutches(env.model, env.interfaces)
        self._holds = self._clutches.active(env.data).copy()
        self._peak = np.zeros(len(self._holds))
        self._break_loads: list[float] = []
        self._carried: list[float] = []

    def substep(self) -> None:
        """Takes in the last physics step."""
        slots, load = self._clutches.load(self._env.data)
        self._peak[slots] = np.maximum(self._peak[slots], load)

    def tick(self) -> None:
        """Takes in the control tick that has ended."""
        env = self._env
        holds = self._clutches.active(env.data).copy()
        self._break_loads += self._peak[self._holds & ~holds].tolist()
        self._holds, self._peak[:] = holds, 0.0
        state = env.privileged()
        errors = tool_errors_mm(env)
        for error, brick in zip(errors, state.gripped.tolist(), strict=True):
            free = brick != NO_BRICK and not (state.joined[brick] | state.joined[:, brick]).any()
            if free and not state.sorted[brick]:
                self._carried.append(error)

    def figures(self) -> dict[str, Any]:
        """Largest load of each clutch in the tick in which it opened, 1 = its limit; errors."""
        return {"break_loads": self._break_loads, "carry_errors_mm": self._carried}
