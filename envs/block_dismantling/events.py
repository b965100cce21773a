"""Scene events of block dismantling; importing this module registers them and their presets.

``shove`` and ``shove_brick`` push with a paddle, see `envs.scene.pusher`; ``teleport`` and
``teleport_brick`` put the same bricks elsewhere in one instant; ``drift`` carries them off slowly,
see `envs.scene.belt`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from envs.block_dismantling.pushes import strokes
from envs.drifts import Drift
from envs.events import Instant
from envs.pushes import Push, shifts
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event, refused
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtPhase

FREE_AREA = ((-0.10, 0.06), (-0.085, 0.085))
"""Where a shoved assembly may come to stand: x and y range of its middle [m]."""
LONGEST_SHOVE = 0.15
"""Farther than this no direction stays on the free table [m]."""
DROP_STEP = 0.002
"""Distance between the heights at which room is looked for [m]."""


class _Shove(Push):
    """What pushes of bricks share."""

    longest_m: ClassVar[float] = LONGEST_SHOVE
    widest_m: ClassVar[float] = 0.03

    def _push(
        self, scene: Any, bricks: list[int], distance_m: float, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Pushes some bricks along a random way; tells which, or why not."""
        middle = scene.middle_of(bricks)
        ways = self.ways(middle[:2], distance_m, rng, _is_free)
        corners = scene.corners_of(bricks)
        found = strokes(scene.tick, bricks, corners, middle, distance_m, ways)
        return self.begin(scene, found, distance_m, bricks=list(bricks))


@event_kind("shove")
@dataclass(frozen=True)
class Shove(_Shove):
    """The largest standing assembly is pushed sideways by a paddle, for 0.1 to 0.2 s.

    Attributes:
        distance_m: How far; drawn from 20 .. 80 mm where none is given. The direction is random
            among those that stay on the free table and leave the paddle room [m].
        off_centre_m: Largest distance from the middle at which the paddle hits, which turns the
            assembly [m].
    """

    needs_paddle: ClassVar[str] = "teleport"

    off_centre_m: float = 0.008

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Begins the push."""
        distance = self.drawn_distance(rng)
        return self._push(scene, scene.largest_cluster(), distance, rng)


@event_kind("shove_brick")
@dataclass(frozen=True)
class ShoveBrick(_Shove):
    """One loose, unsorted brick on the table is pushed aside; without one, the assembly is.

    Attributes:
        distance_m: How far; drawn from 20 .. 80 mm where none is given [m].
        off_centre_m: Largest distance from the middle at which the paddle hits [m].
    """

    needs_paddle: ClassVar[str] = "teleport_brick"

    off_centre_m: float = 0.008

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Begins the push."""
        distance = self.drawn_distance(rng)
        loose = rng.permutation(scene.loose_bricks()).tolist()
        told: dict[str, Any] = {}
        for bricks in [[brick] for brick in loose] or [scene.largest_cluster()]:
            told = self._push(scene, bricks, distance, rng)
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
        for shift in _level_shifts(middle, self.distance_m, rng):
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
        ways = list(_level_shifts(scene.middle_of(bricks), self.distance_m, rng))
        yaw = float(rng.uniform(-0.5, 0.5))
        for shift in ways:
            if scene.fits(bricks, shift, yaw):
                scene.displace(bricks, shift, yaw)
                return {"bricks": list(bricks), "shift_m": shift.tolist()}
        return refused("no free place", bricks=list(bricks))


@event_kind("drift")
@dataclass(frozen=True)
class BlockDrift(Drift):
    """The table top runs like a belt, with the assembly on it, to the edge of the free area.

    Loose bricks on the table are carried along; bricks in a hand or in a tray are not.

    Attributes:
        speed: [m/s]
        direction_deg: Direction about the vertical, 0 = +x; drawn where none is given [°].
    """

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Starts the belt."""
        bricks = scene.largest_cluster()
        middle = scene.middle_of(bricks)[:2]
        return self.start(scene, middle, FREE_AREA, rng, bricks=list(bricks))


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


def _level_shifts(
    middle: np.ndarray, distance_m: float, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """`shifts` of a middle (3,), with no height, (3,)."""
    for shift in shifts(middle[:2], distance_m, rng, _is_free):
        yield np.array([*shift, 0.0])


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


register_preset("drift", BlockDrift(trigger=AtPhase("reach")))
register_preset("shove", Shove(trigger=AtPhase("reach")))
register_preset("shove_brick", ShoveBrick(trigger=AtPhase("carry", 0.3)))
register_preset("teleport", Teleport(trigger=AtPhase("reach")))
register_preset("teleport_brick", TeleportBrick(trigger=AtPhase("carry", 0.3)))
register_preset("swap_bins", SwapBins(trigger=AtPhase("reach")))
register_preset("reattach", Reattach(trigger=AtPhase("carry")))
register_preset("drop", Drop(trigger=AtPhase("carry", 0.4)))
