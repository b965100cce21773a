"""How far a chunk trusts its committed prefix, and how far the picture.

Two questions about the same robot state:

* **Offset carry**: all committed rows are moved by one constant joint offset. What share of it do
  the rows after the prefix still show? 1: the offset is carried on as if it were meant; 0: it is
  undone at once. The plan of a perfect planner through the same rows is the yardstick.
* **Counterfactual picture**: the prefix stays, the object moves in the picture. Does the chunk end
  where the object is now (1), or where it was (0)?
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError

CARRY_ROWS = 10
"""Rows after the prefix over which the carried share is averaged."""


def offset_carry(
    plain: NDArray[np.float64], shifted: NDArray[np.float64], offset: NDArray[np.float64], d: int
) -> float:
    """Share of a prefix offset that the following rows keep.

    Args:
        plain: Chunk (T, A) after the prefix as committed.
        shifted: Chunk (T, A) after the same prefix with `offset` added to each of its rows.
        offset: (A,) in the unit of the chunk, not zero.
        d: Length of the prefix, rows.

    Returns:
        Mean over rows d .. d + 9 of the difference's projection on the offset.
    """
    power = float(offset @ offset)
    if power == 0.0 or plain.shape != shifted.shape or not 0 < d < len(plain):
        raise ConfigError(
            f"offset carry: expected a non-zero offset, equal chunks and 0 < d < {len(plain)}, got "
            f"power {power}, shapes {plain.shape} and {shifted.shape}, d = {d}"
        )
    rows = (shifted - plain)[d : d + CARRY_ROWS]
    return float((rows @ offset).mean() / power)


def picture_follow(
    seen: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]
) -> float:
    """Where a chunk ends between the goal before (0) and after (1) the object moved.

    Args:
        seen: End (k,) of the chunk that was shown the moved object, e.g. both tools' positions [m].
        before: End of the right plan for the object as it was.
        after: End of the right plan for the moved object.
    """
    way = after - before
    power = float(way @ way)
    if power == 0.0:
        raise ConfigError("picture follow: expected two different goals, got the same point twice")
    return float((seen - before) @ way / power)


def picture_followed(
    seen: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]
) -> bool:
    """Whether the chunk ends nearer to the goal after the object moved than to the one before."""
    return bool(np.linalg.norm(seen - after) < np.linalg.norm(seen - before))
