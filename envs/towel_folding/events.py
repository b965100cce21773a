"""Scene events of towel folding; importing this module registers them and their presets.

``shove`` is shared by name with block dismantling, where it moves the assembly; here the towel's
own kinds carry the prefix ``towel_``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import envs.events  # noqa: F401  (registers the events every task has)
from xr0_sim.errors import ConfigError
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtPhase

FREE_RADIUS = 0.07
"""How far from the middle of the table a shoved towel's middle may come to lie, x and y [m]."""
MAX_GUST = 0.5
"""Strongest gust [N]; three times as much throws the towel off the table."""


@event_kind("towel_shove")
@dataclass(frozen=True)
class TowelShove(Event):
    """The towel jumps sideways and turns in one instant, held or not, flat or half folded.

    Attributes:
        distance_m: How far; the direction is random among those that stay on the free table [m].
        turn_deg: Largest turn about the vertical [°].
    """

    distance_m: float = 0.05
    turn_deg: float = 20.0

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "distance_m", 0.0, 0.10, "m")
        check_range(self, "turn_deg", 0.0, 45.0, "°")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Shoves the towel."""
        yaw = math.radians(self.turn_deg) * float(rng.uniform(-1, 1))
        shift = _free_shift(scene.points[:, :2].mean(axis=0), self.distance_m, rng)
        scene.displace(shift, yaw)
        return {"shift_m": shift.tolist(), "yaw_rad": yaw}


@event_kind("gust")
@dataclass(frozen=True)
class Gust(Event):
    """A gust of air pushes the whole towel sideways.

    Attributes:
        force_n: Total force, in a random horizontal direction [N].
        duration_s: How long [s].
    """

    force_n: float = 0.4
    duration_s: float = 0.2

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "force_n", 0.0, MAX_GUST, "N")
        if not 0.0 < self.duration_s <= 0.5:
            raise ConfigError(f"Gust.duration_s: expected 0 .. 0.5 s, got {self.duration_s}")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Starts the gust."""
        angle = float(rng.uniform(0, 2 * math.pi))
        force = self.force_n * np.array([math.cos(angle), math.sin(angle), 0.0])
        scene.blow(force, self.duration_s)
        return {"angle_rad": angle}


@event_kind("corner_slip")
@dataclass(frozen=True)
class CornerSlip(Event):
    """The pads of a hand that holds the towel turn slippery, and the corner slides out.

    Attributes:
        duration_s: How long the pads stay slippery [s].
    """

    duration_s: float = 0.5

    def __post_init__(self) -> None:
        """Checks the range."""
        if not 0.0 < self.duration_s <= 2.0:
            raise ConfigError(f"CornerSlip.duration_s: expected 0 .. 2 s, got {self.duration_s}")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Oils the pads of one of the holding hands."""
        arms = scene.held_arms
        if not arms:
            return {"arm": None}
        arm = int(rng.choice(arms))
        scene.lose_grip(arm, self.duration_s)
        return {"arm": arm}


@event_kind("obstacle")
@dataclass(frozen=True)
class Obstacle(Event):
    """A block stands where the towel is about to be folded to, for a while.

    Attributes:
        duration_s: How long it stays [s].
    """

    duration_s: float = 3.0

    def __post_init__(self) -> None:
        """Checks the range."""
        if not 0.0 < self.duration_s <= 20.0:
            raise ConfigError(f"Obstacle.duration_s: expected 0 .. 20 s, got {self.duration_s}")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Puts the block down."""
        pos = scene.landing + rng.uniform(-0.02, 0.02, 2)
        scene.put_obstacle(pos, self.duration_s)
        return {"pos_m": pos.tolist()}


def _free_shift(middle: np.ndarray, distance_m: float, rng: np.random.Generator) -> np.ndarray:
    """Random horizontal shift (2,) that keeps the middle on the free table."""
    for angle in rng.uniform(0, 2 * math.pi, 32):
        shift = distance_m * np.array([math.cos(angle), math.sin(angle)])
        if np.abs(middle + shift).max() <= FREE_RADIUS:
            return shift
    return -distance_m * middle / max(float(np.linalg.norm(middle)), 1e-6)


register_preset("towel_shove", TowelShove(trigger=AtPhase("reach")))
register_preset("gust", Gust(trigger=AtPhase("reach")))
register_preset("corner_slip", CornerSlip(trigger=AtPhase("lift", 0.3)))
register_preset("obstacle", Obstacle(trigger=AtPhase("grasp")))
