"""Pictures as a correction head sees them: small, so that it can look in every tick."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError

VIEW_SIZE = 64
"""Side of a view [px]."""


def small_views(
    images: Mapping[str, NDArray[np.uint8]], cameras: Sequence[str], size: int = VIEW_SIZE
) -> NDArray[np.uint8]:
    """Means over squares of pixels, (views, size, size, 3).

    Args:
        images: Camera name -> (S, S, 3); S a multiple of ``size``.
        cameras: Views in order.
        size: Side of a view [px].
    """
    small = np.empty((len(cameras), size, size, 3), np.uint8)
    for place, name in enumerate(cameras):
        if name not in images:
            raise ConfigError(
                f"correction: expected pictures of {', '.join(cameras)}, missing {name}; capture "
                "with images=True"
            )
        picture = images[name]
        height, width = picture.shape[:2]
        if height != width or height % size:
            raise ConfigError(
                f"correction: expected square pictures whose side is a multiple of {size} px, got "
                f"{height} x {width} of {name}"
            )
        side = height // size
        # Whole numbers: exact, and much faster than a mean over axes.
        rows = functools.reduce(np.add, [picture[k::side].astype(np.uint32) for k in range(side)])
        sums = functools.reduce(np.add, [rows[:, k::side] for k in range(side)])
        small[place] = (sums + side * side // 2) // (side * side)
    return small
