"""What drifts of every task share: how fast, where to, and where they end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.pushes import WAYS
from envs.scene.belt import BeltRun
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event, refused

SLOWEST, FASTEST = 0.002, 0.3
"""Speeds that may be asked for [m/s]; chosen: over a minute to cross the free table, and half of
what the tools of the experts move at."""
LONG_WAY = 0.06
"""A drawn direction leaves at least so much room where any does [m]; chosen, half a second at
twice the usual speed."""
SHORTEST_WAY = 0.01
"""With less room to the edge than this a drift is refused [m]; chosen."""

Area = tuple[tuple[float, float], tuple[float, float]]
"""Range of x and of y [m]."""


@dataclass(frozen=True)
class Drift(Event):
    """The table top runs like a conveyor belt until what is watched is at the edge.

    Attributes:
        speed: [m/s]
        direction_deg: Direction about the vertical, 0 = +x; drawn among those that leave most
            room where none is given [°].
    """

    speed: float = 0.05
    direction_deg: float | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_range(self, "speed", SLOWEST, FASTEST, "m/s")
        if self.direction_deg is not None:
            check_range(self, "direction_deg", -360.0, 360.0, "°")

    def heading(
        self, middle: NDArray[np.float64], area: Area, rng: np.random.Generator
    ) -> tuple[float, float]:
        """Direction [rad] and the way to the edge [m]; draws the same numbers in any case.

        A drawn direction does not depend on the speed: all speeds of a study go the same way.

        Args:
            middle: Of what shall drift (2,) [m].
            area: Where the middle may be.
            rng: Generator of the event.
        """
        drawn = rng.uniform(0, 2 * math.pi, WAYS).tolist()
        if self.direction_deg is not None:
            drawn = [math.radians(self.direction_deg)]
        ways = [(heading, way_to_edge(middle, area, heading)) for heading in drawn]
        long = [way for way in ways if way[1] >= LONG_WAY]
        return long[0] if long else max(ways, key=lambda way: way[1])

    def start(
        self,
        scene: Any,
        middle: NDArray[np.float64],
        area: Area,
        rng: np.random.Generator,
        **told: Any,
    ) -> dict[str, Any]:
        """Starts the belt; tells where to and how far, or why not.

        Args:
            scene: The environment.
            middle: See `heading`.
            area: See `heading`.
            rng: Generator of the event.
            told: What the log says beside it.
        """
        heading, way = self.heading(middle, area, rng)
        # The last tick may stop short of the edge, none runs past it.
        control_hz = scene.control_hz
        ticks = math.floor(way * control_hz / self.speed + 1e-9)
        if way < SHORTEST_WAY or ticks < 1:
            return refused("no room to the edge of the free table", **told)
        if not scene.begin_drift(BeltRun(scene.tick, ticks, self.speed, heading, control_hz)):
            return refused("the table runs already", **told)
        return told | {"heading_rad": heading, "way_m": way, "duration_s": ticks / control_hz}


def way_to_edge(middle: Sequence[float] | NDArray[np.float64], area: Area, heading: float) -> float:
    """How far along a heading [rad] a place (2,) [m] stays in an area; 0 where it never is [m]."""
    enter, leave = 0.0, math.inf
    for place, ahead, (low, high) in zip(
        middle, (math.cos(heading), math.sin(heading)), area, strict=True
    ):
        if abs(ahead) < 1e-9:
            if not low <= place <= high:
                return 0.0
            continue
        near, far = sorted(((low - place) / ahead, (high - place) / ahead))
        enter, leave = max(enter, near), min(leave, far)
    return float(leave) if leave > enter else 0.0
