"""A dual-arm environment as the runtime's plant: observations are built only when captured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.dual_arm import DualArmEnv
from envs.snapshot import Snapshot
from xr0_sim.perturb.events import Event
from xr0_sim.types import InferenceMoment, Observation, RobotState


class EnvPlant:
    """Implements `xr0_sim.runtime.episode_ports.Plant` on the unwrapped environment."""

    def __init__(self, env: DualArmEnv):
        self.env = env

    @property
    def control_hz(self) -> int:
        """Control rate [Hz]."""
        return self.env.control_hz

    def reset(self, seed: int, options: Mapping[str, Any] | None = None) -> None:
        """Draws a new scene."""
        self.env.reset_scene(seed, options)

    def observe(self, images: bool = True) -> Observation:
        """Captures an observation; renders only if `images`."""
        return self.env.observe(images)

    def robot_state(self) -> RobotState:
        """Proprioception at the start of the current tick."""
        return self.env.robot_state()

    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """Tells the event schedule which inferences are under way in the coming tick."""
        self.env.note_inferences(inferences)

    def events_due(self, events: Sequence[Event]) -> bool:
        """See `xr0_sim.runtime.branching.BranchingPlant`."""
        return self.env.events_due(events)

    def snapshot(self) -> Snapshot:
        """See `xr0_sim.runtime.branching.BranchingPlant`."""
        return self.env.snapshot()

    def branch(self, state: Snapshot, events: Sequence[Event]) -> None:
        """See `xr0_sim.runtime.branching.BranchingPlant`."""
        self.env.branch(state, events)

    def step(self, action: NDArray[np.float64]) -> tuple[float, bool, bool, dict[str, Any]]:
        """Executes one tick: reward, terminated, truncated, info."""
        return self.env.advance(action)
