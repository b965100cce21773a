"""Scene events of block dismantling; importing this module registers them and their presets.

``shove`` and ``shove_brick`` push with a paddle, see `envs.scene.pusher`; ``teleport`` and
``teleport_brick`` put the same bricks elsewhere in one instant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from envs.block_dismantling.pushes import strokes
from envs.events import Instant, check_distance, drawn_distance
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event, refused
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtPhase

FREE_AREA = ((-0.10, 0.06), (-0.085, 0.085))
"""Where a shoved assembly may come to stand: x and y range of its middle [m]."""
LONGEST_SHOVE = 0.15
"""Farther than this no direction stays on the free table [m]."""
WAYS = 32
"""Directions that are tried."""
NEARER = (1.0, 0.8, 0.6, 0.4)
"""Shares of the asked distance that are tried, in this order, where nothing else is free."""
DROP_STEP = 0.002
"""Distance between the heights at which room is looked for [m]."""


@dataclass(frozen=True)
class _Push(Event):
    """What both pushes may be asked for."""

    distance_m: float | None = None
    off_centre_m: float = 0.008

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_distance(self, LONGEST_SHOVE)
        check_range(self, "off_centre_m", 0.0, 0.03, "m")


@event_kind("shove")
@dataclass(frozen=True)
class Shove(_Push):
    """The largest standing assembly is pushed sideways by a paddle, for 0.1 to 0.2 s.

    Attributes:
        distance_m: How far; drawn from 20 .. 80 mm where none is given. The direction is random
            among those that stay on the free table and leave the paddle room [m].
        off_centre_m: Largest distance from the middle at which the paddle hits, which turns the
            assembly [m].
    """

    needs_paddle: ClassVar[str] = "teleport"

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Begins the push."""
        distance = drawn_distance(self, rng)
        return _push(scene, scene.largest_cluster(), distance, self.off_centre_m, rng)


@event_kind("shove_brick")
@dataclass(frozen=True)
class ShoveBrick(_Push):
    """One loose, unsorted brick on the table is pushed aside; without one, the assembly is.

    Attributes:
        distance_m: How far; drawn from 20 .. 80 mm where none is given [m].
        off_centre_m: Largest distance from the middle at which the paddle hits [m].
    """

    needs_paddle: ClassVar[str] = "teleport_brick"

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Begins the push."""
        distance = drawn_distance(self, rng)
        loose = rng.permutation(scene.loose_bricks()).tolist()
        told: dict[str, Any] = {}
        for bricks in [[brick] for brick in loose] or [scene.largest_cluster()]:
            told = _push(scene, bricks, distance, self.off_centre_m, rng)
            if "refused" not in told:
                break
        return told


@event_kind("teleport")
@dataclass(frozen=True)
class Teleport(Instant):
    """The largest standing assembly jumps sideways and turns, as if pushed in one instant.

    Attributes:
        distance_m: How far; the direction is random among those that stay on the free table [m].
        turn_deg: Largest turn about the vertical [°].
    """

    push: ClassVar[str] = "shove"

    distance_m: float = 0.05
    turn_deg: float = 15.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_range(self, "distance_m", 0.0, LONGEST_SHOVE, "m")
        check_range(self, "turn_deg", 0.0, 180.0, "°")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Moves the assembly."""
        bricks = scene.largest_cluster()
        middle = scene.middle_of(bricks)
        yaw = math.radians(self.turn_deg) * float(rng.uniform(-1, 1))
        for shift in _shifts(middle, self.distance_m, rng):
            if scene.fits(bricks, shift, yaw):
                scene.displace(bricks, shift, yaw)
                return {"bricks": list(bricks), "shift_m": shift.tolist(), "yaw_rad": yaw}
        return refused("no free place", bricks=list(bricks))


@event_kind("teleport_brick")
@dataclass(frozen=True)
class TeleportBrick(Instant):
    """One loose, unsorted brick on the table jumps sideways; without one, the assembly does.

    Attributes:
        distance_m: How far [m].
    """

    push: ClassVar[str] = "shove_brick"

    distance_m: float = 0.05

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "distance_m", 0.0, LONGEST_SHOVE, "m")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Moves the brick."""
        loose = scene.loose_bricks()
        bricks = [int(rng.choice(loose))] if len(loose) else scene.largest_cluster()
        shifts = list(_shifts(scene.middle_of(bricks), self.distance_m, rng))
        yaw = float(rng.uniform(-0.5, 0.5))
        for shift in shifts:
            if scene.fits(bricks, shift, yaw):
                scene.displace(bricks, shift, yaw)
                return {"bricks": list(bricks), "shift_m": shift.tolist()}
        return refused("no free place", bricks=list(bricks))


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
        slip_m: How far below the pads it appears; in the nearest free place where something is in
            the way [m].
    """

    slip_m: float = 0.03

    def __post_init__(self) -> None:
        """Checks the range."""
        check_range(self, "slip_m", 0.0, 0.10, "m")

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Drops one of the carried bricks."""
        held = scene.carried_bricks()
        if len(held) == 0:
            return refused("no hand carries a brick", brick=None) if scene.checks_room else _NOTHING
        brick = int(rng.choice(held))
        yaw = float(rng.uniform(-0.4, 0.4))
        for shift in _slips(self.slip_m):
            if scene.fits([brick], shift, yaw, touching=False):
                scene.displace([brick], shift, yaw)
                return {"brick": brick, "shift_m": shift.tolist()}
        return refused("no free place below the hand", brick=brick)


_NOTHING: dict[str, Any] = {"brick": None}


def _push(
    scene: Any, bricks: list[int], distance_m: float, off_centre_m: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Pushes some bricks along a random way; tells which, or why not."""
    middle = scene.middle_of(bricks)
    headings = rng.uniform(0, 2 * math.pi, WAYS)
    asides = off_centre_m * rng.uniform(-1, 1, WAYS)
    ways = [
        (float(heading), float(aside))
        for heading, aside in zip(headings, asides, strict=True)
        if _is_free(middle[:2] + distance_m * np.array([math.cos(heading), math.sin(heading)]))
    ]
    home = math.atan2(-middle[1], -middle[0])
    ways += [(home + turn, 0.0) for turn in (0.0, 0.4, -0.4, 0.8, -0.8)]
    found = scene.begin_push(
        strokes(scene.tick, bricks, scene.corners_of(bricks), middle, distance_m, ways)
    )
    if found is None:
        return refused("no room for the paddle", bricks=list(bricks))
    return {
        "bricks": list(bricks),
        "asked_m": distance_m,
        "heading_rad": found.heading,
        "duration_s": found.sweep_s,
    }


def _shifts(
    middle: np.ndarray, distance_m: float, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Random horizontal shifts (3,) that keep the middle on the free table, nearer ones last."""
    angles = rng.uniform(0, 2 * math.pi, WAYS)
    shift = np.zeros(3)
    for share in NEARER:
        for angle in angles:
            shift[:2] = share * distance_m * np.array([math.cos(angle), math.sin(angle)])
            if _is_free(middle[:2] + shift[:2]):
                yield shift.copy()
        if share == 1.0:
            shift[:2] = -distance_m * middle[:2] / max(float(np.linalg.norm(middle[:2])), 1e-6)
            yield shift.copy()


def _is_free(place: np.ndarray) -> bool:
    return all(low <= p <= high for p, (low, high) in zip(place, FREE_AREA, strict=True))


def _slips(slip_m: float) -> Iterator[np.ndarray]:
    """Shifts (3,) out of a hand: straight down, else less or more far, else sideways [m]."""
    ways = [np.array([0.0, 0.0, -slip_m])]
    for step in range(1, 25):
        ways += [np.array([0.0, 0.0, sign * step * DROP_STEP - slip_m]) for sign in (1.0, -1.0)]
    turns = [np.array([math.cos(a), math.sin(a), 0.0]) for a in np.arange(8) * math.pi / 4]
    for reach in (0.0, 0.02, 0.03, 0.04, 0.05, 0.06):
        for turn in turns if reach else turns[:1]:
            yield from (way + reach * turn for way in ways if way[2] <= -DROP_STEP or reach)


register_preset("shove", Shove(trigger=AtPhase("reach")))
register_preset("shove_brick", ShoveBrick(trigger=AtPhase("carry", 0.3)))
register_preset("teleport", Teleport(trigger=AtPhase("reach")))
register_preset("teleport_brick", TeleportBrick(trigger=AtPhase("carry", 0.3)))
register_preset("swap_bins", SwapBins(trigger=AtPhase("reach")))
register_preset("reattach", Reattach(trigger=AtPhase("carry")))
register_preset("drop", Drop(trigger=AtPhase("carry", 0.4)))
