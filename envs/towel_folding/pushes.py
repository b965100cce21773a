"""Where a flat hand comes down on the towel to drag it along."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from envs.scene.pusher import Paddle, Stroke

HAND = Paddle(half_size=(0.045, 0.06, 0.007), mass=0.3, press_n=5.0, friction=1.0, solver_steps=300)
"""About a hand's breadth; it presses lightly (chosen), and grips cloth better than the table does.

A hundred contacts in two layers take the solver six times its usual iterations: with those of the
scene the hand hops, and the towel goes half as far."""
LEAD = 0.35
"""Where it comes down, as a share of the way from the towel's middle to its leading edge: most of
the towel is drawn behind it, and little is pushed before it into wrinkles."""
GAP = 0.006
"""Between the hand and the highest cloth below it, before it comes down; more than the thickness
of the cloth [m]."""


def strokes(
    tick: int,
    points: NDArray[np.float64],
    distance_m: float,
    ways: Sequence[tuple[float, float]],
) -> Iterator[Stroke]:
    """Pushes of the towel, one per way.

    Args:
        tick: Control tick in which the push begins.
        points: Mass points, world, (k, 3) [m].
        distance_m: How far the towel shall move [m].
        ways: Direction [rad], and how far to the left of the middle the hand comes down [m].
    """
    half, middle = HAND.reach, points[:, :2].mean(axis=0)
    for heading, aside in ways:
        ahead = np.array([math.cos(heading), math.sin(heading)])
        left = np.array([-ahead[1], ahead[0]])
        along = (points[:, :2] - middle) @ np.stack([ahead, left], axis=-1)
        lead = LEAD * float(along[:, 0].max())
        below = (np.abs(along - [lead, aside]) <= half[:2] + 0.01).all(axis=1)
        if not below.any():
            continue
        start = middle + lead * ahead + aside * left
        top = float(points[below, 2].max())
        yield Stroke(
            tick=tick,
            which=(),
            base=(float(start[0]), float(start[1]), top + GAP + half[2]),
            heading=heading,
            travel=distance_m,
            depth=top + GAP,
            asked_m=distance_m,
            from_m=(float(middle[0]), float(middle[1])),
        )
