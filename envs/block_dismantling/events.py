"""Scene events of block dismantling; importing this module registers them and their presets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import envs.events  # noqa: F401  (registers the events every task has)
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtPhase

FREE_AREA = ((-0.10, 0.06), (-0.085, 0.085))
"""Where a shoved assembly may come to stand: x and y range of its middle [m]."""
LONGEST_SHOVE = 0.15
"""Farther than this no direction stays on the free table [m]."""


@event_kind("shove")
@dataclass(frozen=True)
class Shove(Event):
    """The largest standing assembly jumps sideways and turns, as if pushed in one instant.

    Attributes:
        distance_m: How far; the direction is random among those that stay on the free table [m].
        turn_deg: Largest turn about the vertical [°].
    """

    distance_m: float = 0.05
    turn_deg: float = 15.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_range(self, "distance_m", 0.0, LONGEST_SHOVE, "m")
        check_range(self, "turn_deg", 0.0, 180.0, "°")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Shoves the assembly."""
        bricks = scene.largest_cluster()
        middle = scene.middle_of(bricks)
        yaw = math.radians(self.turn_deg) * float(rng.uniform(-1, 1))
        shift = _free_shift(middle, self.distance_m, rng)
        scene.displace(bricks, shift, yaw)
        return {"bricks": list(bricks), "shift_m": shift.tolist(), "yaw_rad": yaw}


@event_kind("shove_brick")
@dataclass(frozen=True)
class ShoveBrick(Event):
    """One loose, unsorted brick on the table jumps sideways; without one, the assembly does.

    Attributes:
        distance_m: How far [m].
    """

    distance_m: float = 0.05

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "distance_m", 0.0, LONGEST_SHOVE, "m")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Shoves the brick."""
        loose = scene.loose_bricks()
        bricks = [int(rng.choice(loose))] if len(loose) else scene.largest_cluster()
        shift = _free_shift(scene.middle_of(bricks), self.distance_m, rng)
        scene.displace(bricks, shift, float(rng.uniform(-0.5, 0.5)))
        return {"bricks": list(bricks), "shift_m": shift.tolist()}


@event_kind("swap_bins")
@dataclass(frozen=True)
class SwapBins(Event):
    """The two trays swap their colours.

    Under instructions that name trays by colour the goal changes sides; under instructions by side
    it is a distraction that must change nothing.
    """

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Swaps the colours."""
        scene.swap_bin_colours()
        return {"bin_colours": list(scene.bin_colours)}


@event_kind("reattach")
@dataclass(frozen=True)
class Reattach(Event):
    """The clutch that opened last closes again where its two bricks still lie on each other.

    Attributes:
        within_m: Largest distance from the assembled pose at which it still closes [m].
    """

    within_m: float = 0.012

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "within_m", 0.0, 0.05, "m")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Closes every clutch that is near enough."""
        return {"interfaces": scene.reattach(self.within_m)}


@event_kind("drop")
@dataclass(frozen=True)
class Drop(Event):
    """A held brick slips out of the hand.

    Attributes:
        slip_m: How far below the pads it appears [m].
    """

    slip_m: float = 0.03

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "slip_m", 0.0, 0.10, "m")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Drops one of the carried bricks."""
        held = scene.carried_bricks()
        if len(held) == 0:
            return {"brick": None}
        brick = int(rng.choice(held))
        scene.displace([brick], np.array([0.0, 0.0, -self.slip_m]), float(rng.uniform(-0.4, 0.4)))
        return {"brick": brick}


def _free_shift(middle: np.ndarray, distance_m: float, rng: np.random.Generator) -> np.ndarray:
    """Random horizontal shift (3,) that keeps the middle on the free table."""
    shift = np.zeros(3)
    for angle in rng.uniform(0, 2 * math.pi, 32):
        shift[:2] = distance_m * np.array([math.cos(angle), math.sin(angle)])
        goal = middle[:2] + shift[:2]
        if all(low <= g <= high for g, (low, high) in zip(goal, FREE_AREA, strict=True)):
            return shift
    shift[:2] = -distance_m * middle[:2] / max(float(np.linalg.norm(middle[:2])), 1e-6)
    return shift


register_preset("shove", Shove(trigger=AtPhase("reach")))
register_preset("shove_brick", ShoveBrick(trigger=AtPhase("carry", 0.3)))
register_preset("swap_bins", SwapBins(trigger=AtPhase("reach")))
register_preset("reattach", Reattach(trigger=AtPhase("carry")))
register_preset("drop", Drop(trigger=AtPhase("carry", 0.4)))
