"""The one shaping function of all reward terms."""

from __future__ import annotations

import math


def near(distance: float, bound: float, margin: float, at_margin: float = 0.1) -> float:
    """1 up to `bound`, then a Gaussian that is `at_margin` at ``bound + margin``.

    Scalars on purpose: a task shapes a handful of distances per tick.
    """
    if distance <= bound:
        return 1.0
    return math.exp(math.log(at_margin) * ((distance - bound) / margin) ** 2)
