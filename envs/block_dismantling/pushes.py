"""Where a blade has to stand, and how far it has to go, to push bricks by a given distance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from envs.scene.pusher import Paddle, Stroke

BLADE = Paddle(half_size=(0.004, 0.016, 0.030))
"""A plate narrower than an assembly, so that it can hit beside the middle and turn it."""
GAP = 0.0015
"""Between blade and bricks before the push [m]."""
FLOOR_GAP = 0.002
"""Between blade and table [m]."""
SIGNS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
"""Corners of a box, in half extents (8, 3)."""
EDGES = np.array(
    [(a, b) for a, b in itertools.combinations(range(8), 2) if (SIGNS[a] != SIGNS[b]).sum() == 1]
)
"""Pairs of corners that an edge of a box joins (12, 2)."""


def strokes(
    tick: int,
    which: Sequence[int],
    corners: NDArray[np.float64],
    middle: NDArray[np.float64],
    distance_m: float,
    ways: Sequence[tuple[float, float]],
) -> Iterator[Stroke]:
    """Pushes of some bricks, one per way along which the blade meets them.

    Args:
        tick: Control tick in which the push begins.
        which: Numbers of the bricks.
        corners: Their corners, world, (n, 8, 3) [m].
        middle: Their common middle (3,) [m].
        distance_m: How far they shall move [m].
        ways: Direction [rad], and how far to the left of the middle the blade hits [m].
    """
    half = BLADE.reach
    height = max(float(corners[..., 2].min()), 0.0) + FLOOR_GAP + half[2]
    low = corners[..., 2].min(axis=1) < height + half[2]
    for heading, aside in ways:
        ahead = np.array([math.cos(heading), math.sin(heading)])
        left = np.array([-ahead[1], ahead[0]])
        flat = corners[low][..., :2] - middle[:2]
        behind = _front(np.stack([flat @ ahead, flat @ left - aside], axis=-1), half[1])
        if behind is None:
            continue
        start = middle[:2] + (behind - GAP - half[0]) * ahead + aside * left
        base = (float(start[0]), float(start[1]), height)
        yield Stroke(
            tick=tick,
            which=tuple(int(i) for i in which),
            base=base,
            heading=heading,
            travel=GAP + distance_m,
            depth=0.0,
            asked_m=distance_m,
            from_m=(float(middle[0]), float(middle[1])),
        )


def _front(corners: NDArray[np.float64], half_width: float) -> float | None:
    """Smallest first coordinate of boxes within ``|second| <= half_width``; None if all miss it.

    Args:
        corners: Corners of the boxes, seen from above (n, 8, 2).
        half_width: Half width of the lane.
    """
    # The smallest lies on an edge, or where an edge crosses a border of the lane.
    one, other = corners[:, EDGES[:, 0]].reshape(-1, 2), corners[:, EDGES[:, 1]].reshape(-1, 2)
    found = [corners[np.abs(corners[..., 1]) <= half_width][:, 0]]
    span = other - one
    for border in (-half_width, half_width):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (border - one[:, 1]) / span[:, 1]
        crosses = (share >= 0.0) & (share <= 1.0)
        found.append((one[:, 0] + np.where(crosses, share, 0.0) * span[:, 0])[crosses])
    first = np.concatenate(found)
    return float(first.min()) if first.size else None
