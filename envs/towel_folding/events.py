"""Scene events of towel folding; importing this module registers them and their presets.

``shove``, ``teleport`` and ``drift`` are shared by name with block dismantling, where they move
the assembly; here the towel's own kinds carry the prefix ``towel_``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from envs.drifts import Drift
from envs.events import Instant
from envs.pushes import Push, shifts
from envs.towel_folding.pushes import strokes
from xr0_sim.errors import ConfigError
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event, refused
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtPhase

LONGEST_SHOVE = 0.10
"""[m]"""
FREE_RADIUS = 0.07
"""How far from the middle of the table a shoved towel's middle may come to lie, x and y [m]."""
MAX_GUST = 0.5
"""Strongest gust [N]; three times as much throws the towel off the table."""


@event_kind("towel_shove")
@dataclass(frozen=True)
class TowelShove(Push):
    """A flat hand comes down on the towel and drags it sideways, held or not, for 0.1 to 0.2 s.

    Attributes:
        distance_m: How far; drawn from 20 .. 80 mm where none is given. The direction is random
            among those that stay on the free table and leave the hand room [m].
        off_centre_m: Largest distance from the middle at which the hand comes down [m]. The hand
            keeps the towel from turning: by 0.8° at most in 100 scenes (log, 2026-11-29).
    """

    needs_paddle: ClassVar[str] = "towel_teleport"
    longest_m: ClassVar[float] = LONGEST_SHOVE
    widest_m: ClassVar[float] = 0.08
    tool: ClassVar[str] = "hand"

    off_centre_m: float = 0.04

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Begins the push."""
        distance = self.drawn_distance(rng)
        ways = self.ways(scene.points[:, :2].mean(axis=0), distance, rng, _is_free)
        return self.begin(scene, strokes(scene.tick, scene.points, distance, ways), distance)


@event_kind("towel_teleport")
@dataclass(frozen=True)
class TowelTeleport(Instant):
    """The towel jumps sideways and turns in one instant, held or not, flat or half folded.

    Attributes:
        distance_m: How far; the direction is random among those that stay on the free table [m].
        turn_deg: Largest turn about the vertical [°].
    """

    push: ClassVar[str] = "towel_shove"

    distance_m: float = 0.05
    turn_deg: float = 20.0

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "distance_m", 0.0, LONGEST_SHOVE, "m")
        check_range(self, "turn_deg", 0.0, 45.0, "°")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Moves the towel."""
        yaw = math.radians(self.turn_deg) * float(rng.uniform(-1, 1))
        middle = scene.points[:, :2].mean(axis=0)
        for shift in shifts(middle, self.distance_m, rng, _is_free):
            if scene.fits(shift, yaw):
                scene.displace(shift, yaw)
                return {"shift_m": shift.tolist(), "yaw_rad": yaw}
        return refused("no free place")


@event_kind("towel_drift")
@dataclass(frozen=True)
class TowelDrift(Drift):
    """The table top runs like a belt, with the towel on it, to the edge of the free area.

    Attributes:
        speed: [m/s]
        direction_deg: Direction about the vertical, 0 = +x; drawn where none is given [°].
    """

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Starts the belt."""
        reach = (-FREE_RADIUS, FREE_RADIUS)
        return self.start(scene, scene.points[:, :2].mean(axis=0), (reach, reach), rng)


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
            return refused("no hand holds the towel", arm=None) if scene.checks_room else _NOTHING
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
        drawn = scene.landing + rng.uniform(-0.02, 0.02, 2)
        turns = np.arange(8) * math.pi / 4
        around = [np.array([math.cos(a), math.sin(a)]) for a in turns]
        for pos in [drawn, *(drawn + r * way for r in (0.02, 0.04, 0.06) for way in around)]:
            lift = scene.obstacle_height(pos)
            if lift is not None:
                scene.put_obstacle(pos, self.duration_s, lift)
                return {"pos_m": pos.tolist()}
        return refused("no free place", pos_m=drawn.tolist())


_NOTHING: dict[str, Any] = {"arm": None}


def _is_free(place: np.ndarray) -> bool:
    return bool(np.abs(place).max() <= FREE_RADIUS)


register_preset("towel_shove", TowelShove(trigger=AtPhase("reach")))
register_preset("towel_teleport", TowelTeleport(trigger=AtPhase("reach")))
register_preset("towel_drift", TowelDrift(trigger=AtPhase("reach")))
register_preset("gust", Gust(trigger=AtPhase("reach")))
register_preset("corner_slip", CornerSlip(trigger=AtPhase("lift", 0.3)))
register_preset("obstacle", Obstacle(trigger=AtPhase("grasp")))
