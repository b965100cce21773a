"""Events of LIBERO: an object of the scene moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event, refused
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtTime

DIRECTIONS = 16
"""Directions that are tried for room, the first one drawn; chosen."""


@event_kind("object_shift")
@dataclass(frozen=True)
class ObjectShift(Event):
    """A named object moves sideways in one tick, in a random direction with room.

    Attributes:
        object: Its name in the benchmark, e.g. ``akita_black_bowl_1``; "" for the first object of
            the task's interest.
        distance_m: How far [m].
    """

    object: str = ""
    distance_m: float = 0.05

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "distance_m", 0.0, 1.0, "m")

    def apply(self, scene: Any, rng: np.random.Generator) -> Mapping[str, Any]:
        """Moves the object."""
        name = self.object or scene.target
        first = float(rng.uniform(0, 2 * math.pi))
        angles = first + 2 * math.pi * np.arange(DIRECTIONS) / DIRECTIONS
        ways = np.stack([np.cos(angles), np.sin(angles), np.zeros(DIRECTIONS)], axis=1)
        place = scene.shift_object(name, self.distance_m * ways)
        if place < 0:
            return refused("no room", moved=name)
        return {"moved": name, "angle_rad": float(angles[place] % (2 * math.pi))}


register_preset("object_shift", ObjectShift(trigger=AtTime(2.0)))
