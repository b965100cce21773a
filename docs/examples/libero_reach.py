"""A policy for LIBERO that knows where things are: ``--plugin docs/examples/libero_reach.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from policies.table import PolicySpec
from xr0_sim import registry
from xr0_sim.types import ActionChunk

TICK_M = 0.05
"""Way of the tool in a tick at full command, as LIBERO's controller scales it [m]."""


class ReachModel:
    """A chunk model: the tool moves above the task's object, its gripper open."""

    horizon = 10
    needs_images = False

    def __init__(self, above_m):
        self.above_m = above_m

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        known = observation.privileged
        goal = known["objects"][known["target"]] + [0.0, 0.0, self.above_m]
        tool = observation.robot.tool_pos[0].copy()
        actions = np.zeros((self.horizon, 14))
        actions[:, 6] = -1.0
        for row, action in enumerate(actions):
            if row < len(prefix):
                action[:] = prefix[row]
            else:
                action[:3] = np.clip(0.5 * (goal - tool) / TICK_M, -1.0, 1.0)
            tool += TICK_M * action[:3]
        return ActionChunk(actions, observation.tick)


@registry.policies.register("libero_reach", "own: the tool moves above LIBERO's object")
@dataclass(frozen=True)
class LiberoReach(PolicySpec):
    """`ReachModel` as a policy of the command line."""

    looks: ClassVar[bool] = False

    above_m: float = 0.1

    def bind(self, env):
        return ReachModel(self.above_m)
