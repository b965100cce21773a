"""A plant whose measurements are looked at before a policy sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import SimulationError
from xr0_sim.perturb.events import Event
from xr0_sim.runtime.branching import BranchingPlant
from xr0_sim.runtime.episode_ports import Plant
from xr0_sim.types import InferenceMoment, InferenceWatcher, Observation, RobotState


class CheckedPlant:
    """Passes everything on and ends an episode whose measurements are not finite numbers.

    Args:
        plant: Plant to guard.
    """

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    @property
    def control_hz(self) -> int:
        """Control rate [Hz]."""
        return self._plant.control_hz

    def reset(self, seed: int, options: Mapping[str, Any] | None = None) -> None:
        """See `Plant.reset`."""
        self._plant.reset(seed, options)

    def observe(self, images: bool = True) -> Observation:
        """See `Plant.observe`."""
        return self._plant.observe(images)

    def robot_state(self) -> RobotState:
        """Proprioception at the start of the current tick.

        Raises:
            SimulationError: A number of it is not finite; the episode is invalid.
        """
        state = self._plant.robot_state()
        for field in fields(state):
            if not np.isfinite(getattr(state, field.name)).all():
                raise SimulationError(f"observation: {field.name} of the robot is not finite")
        return state

    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """See `xr0_sim.types.InferenceWatcher`; without effect on a plant that is none."""
        if isinstance(self._plant, InferenceWatcher):
            self._plant.note_inferences(inferences)

    def events_due(self, events: Sequence[Event]) -> bool:
        """See `BranchingPlant.events_due`."""
        return self._branching.events_due(events)

    def snapshot(self) -> Any:
        """See `BranchingPlant.snapshot`."""
        return self._branching.snapshot()

    def branch(self, state: Any, events: Sequence[Event]) -> None:
        """See `BranchingPlant.branch`."""
        self._branching.branch(state, events)

    @property
    def _branching(self) -> BranchingPlant:
        if not isinstance(self._plant, BranchingPlant):
            raise TypeError(f"{type(self._plant).__name__}: expected a BranchingPlant")
        return self._plant

    def step(self, action: NDArray[np.float64]) -> tuple[float, bool, bool, dict[str, Any]]:
        """See `Plant.step`."""
        return self._plant.step(action)
