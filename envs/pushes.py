"""What pushes of every task share: how far, where to, and how a paddle is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.scene.pusher import Stroke
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event, refused

PUSH_RANGE = (0.02, 0.08)
"""Distances from which that of a push is drawn where none is asked for [m]; chosen: from what a
grasp forgives to half the width of the free table."""
WAYS = 32
"""Directions that are tried."""
NEARER = (1.0, 0.8, 0.6, 0.4)
"""Shares of the asked distance that are tried, in this order, where nothing else is free."""

Free = Callable[[NDArray[np.float64]], bool]
"""Whether what is pushed may come to stand with its middle there, (2,) [m]."""
Ways = list[tuple[float, float]]
"""Directions [rad], and how far to the left of the middle the paddle hits [m]."""


@dataclass(frozen=True)
class Push(Event):
    """A push for 0.1 to 0.2 s that a thing of the scene does, seen and felt.

    Attributes:
        needs_paddle: The kind that does the same in one tick, for worlds without a paddle.
        longest_m: Farthest that may be asked for [m].
        widest_m: Largest `off_centre_m` [m].
        tool: What has to find room.
        distance_m: How far; drawn from `PUSH_RANGE` where none is given [m].
        off_centre_m: Largest distance from the middle at which it hits [m].
    """

    needs_paddle: ClassVar[str]
    longest_m: ClassVar[float]
    widest_m: ClassVar[float]
    tool: ClassVar[str] = "paddle"

    distance_m: float | None = None
    off_centre_m: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.distance_m is not None:
            check_range(self, "distance_m", 0.0, self.longest_m, "m")
        check_range(self, "off_centre_m", 0.0, self.widest_m, "m")

    def drawn_distance(self, rng: np.random.Generator) -> float:
        """The asked distance, else one from `PUSH_RANGE` [m]; draws in either case."""
        drawn = float(rng.uniform(*PUSH_RANGE))
        return drawn if self.distance_m is None else float(self.distance_m)

    def ways(
        self,
        middle: NDArray[np.float64],
        distance_m: float,
        rng: np.random.Generator,
        is_free: Free,
    ) -> Ways:
        """Random ways that end on the free table, and those towards its middle.

        Args:
            middle: Of what is pushed (2,) [m].
            distance_m: How far it shall go [m].
            rng: Generator of the event.
            is_free: Where it may come to stand.
        """
        headings = rng.uniform(0, 2 * math.pi, WAYS)
        asides = self.off_centre_m * rng.uniform(-1, 1, WAYS)
        found = [
            (float(heading), float(aside))
            for heading, aside in zip(headings, asides, strict=True)
            if is_free(middle + distance_m * np.array([math.cos(heading), math.sin(heading)]))
        ]
        home = math.atan2(-middle[1], -middle[0])
        return found + [(home + turn, 0.0) for turn in (0.0, 0.4, -0.4, 0.8, -0.8)]

    def begin(
        self, scene: Any, strokes: Iterable[Stroke], distance_m: float, **told: Any
    ) -> dict[str, Any]:
        """Begins the first push that has room; tells which, or why none.

        Args:
            scene: The environment.
            strokes: Pushes in the order in which they are tried.
            distance_m: What was asked for or drawn [m].
            told: What the log says beside it.
        """
        found = scene.begin_push(strokes)
        if found is None:
            return refused(f"no room for the {self.tool}", **told)
        return told | {
            "asked_m": distance_m,
            "heading_rad": found.heading,
            "duration_s": found.sweep_s,
        }


def shifts(
    middle: NDArray[np.float64], distance_m: float, rng: np.random.Generator, is_free: Free
) -> Iterator[NDArray[np.float64]]:
    """Random horizontal shifts (2,) that keep a middle (2,) on the free table, nearer ones last."""
    angles = rng.uniform(0, 2 * math.pi, WAYS)
    for share in NEARER:
        for angle in angles:
            shift = share * distance_m * np.array([math.cos(angle), math.sin(angle)])
            if is_free(middle + shift):
                yield shift
        if share == 1.0:
            yield -distance_m * middle / max(float(np.linalg.norm(middle)), 1e-6)
