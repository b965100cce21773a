"""Smooth tool paths in the workspace: straight lines and circles with a minimum-jerk profile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError

PEAK_FACTOR = 1.875
"""Peak over mean speed of the minimum-jerk profile."""


def minimum_jerk(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Progress 0..1 at the share 0..1 of the duration; at rest at both ends."""
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)


@dataclass(frozen=True)
class Line:
    """From one point to another and back, for the left arm; the right one mirrors it in y.

    Attributes:
        name: What it is called.
        start: (x, y, z) world [m].
        end: (x, y, z) world [m].
    """

    name: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def points(self, peak_speed: float) -> NDArray[np.float64]:
        """(K, 3) one point per control tick [m]."""
        start, end = np.array(self.start), np.array(self.end)
        there = _progress(float(np.linalg.norm(end - start)), peak_speed)
        progress = np.concatenate([there, 1.0 - there])
        return start + progress[:, None] * (end - start)


@dataclass(frozen=True)
class Circle:
    """A full turn, for the left arm; the right one mirrors it in y.

    Attributes:
        name: What it is called.
        centre: (x, y, z) world [m].
        radius: [m].
        plane: The two world axes it lies in, e.g. ``xy``.
    """

    name: str
    centre: tuple[float, float, float]
    radius: float
    plane: str = "xy"

    def points(self, peak_speed: float) -> NDArray[np.float64]:
        """(K, 3) one point per control tick [m]."""
        angle = 2 * math.pi * _progress(2 * math.pi * self.radius, peak_speed)
        points = np.tile(np.array(self.centre), (len(angle), 1))
        first, second = ("xyz".index(axis) for axis in self.plane)
        points[:, first] += self.radius * np.cos(angle)
        points[:, second] += self.radius * np.sin(angle)
        return points


def _progress(length: float, peak_speed: float) -> NDArray[np.float64]:
    """Progress along a path whose speed peaks at ``peak_speed`` [m/s], one value per tick."""
    if not 0.01 <= peak_speed <= 2.0:
        raise ConfigError(f"--speed: expected 0.01 .. 2 m/s, got {peak_speed:g}")
    ticks = math.ceil(PEAK_FACTOR * length / peak_speed * CONTROL_HZ)
    return minimum_jerk(np.arange(ticks + 1) / ticks)


ABOVE = 0.12
NEAR_TABLE = 0.02

PATHS: tuple[Line | Circle, ...] = (
    Line("along x", (-0.18, 0.18, ABOVE), (0.18, 0.18, ABOVE)),
    Line("along y", (0.0, 0.09, ABOVE), (0.0, 0.30, ABOVE)),
    Line("along z", (0.0, 0.15, 0.04), (0.0, 0.15, 0.32)),
    Line("to the bin", (-0.05, 0.09, 0.05), (0.185, 0.215, ABOVE)),
    Circle("circle xy", (0.0, 0.19, ABOVE), 0.08),
    Circle("circle xz", (0.0, 0.17, 0.20), 0.08, "xz"),
    Circle("circle yz", (0.0, 0.20, 0.20), 0.08, "yz"),
)

TABLE_PATHS: tuple[Line | Circle, ...] = (
    Line("table, along x", (-0.15, 0.16, NEAR_TABLE), (0.15, 0.16, NEAR_TABLE)),
    Line("table, along y", (-0.05, 0.09, NEAR_TABLE), (-0.05, 0.28, NEAR_TABLE)),
    Circle("table, circle", (0.0, 0.18, NEAR_TABLE), 0.08),
)
