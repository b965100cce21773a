"""Statistics of a LeRobotDataset: per feature, of an episode or of the whole set.

Min, max, mean, population standard deviation, count and five quantiles. Numbers that are not
finite do not count. Pictures are counted colour by colour, so their figures are exact and those
of several episodes add up; they are given in [0, 1] with the shape (3, 1, 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
"""Quantiles that lerobot 0.6.1 keeps."""
SHADES = 256


def number_stats(values: NDArray) -> dict[str, list[float]]:
    """Statistics of a column.

    Args:
        values: (K,) or (K, width) numbers or truth values.

    Returns:
        Name -> one number per entry of a row; zeros where nothing is finite. ``count`` is K.
    """
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    rows = [_of_finite(column[np.isfinite(column)]) for column in table.T]
    found = {name: [row[name] for row in rows] for name in rows[0]}
    return {**found, "count": [len(table)]}


def _of_finite(column: NDArray[np.float64]) -> dict[str, float]:
    if not len(column):
        column = np.zeros(1)
    points = np.quantile(column, list(QUANTILES.values()))
    return {
        "min": float(column.min()),
        "max": float(column.max()),
        "mean": float(column.mean()),
        "std": float(column.std()),
        **{name: float(point) for name, point in zip(QUANTILES, points, strict=True)},
    }


def shade_counts(frame: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each shade occurs, (3, 256), in an (H, W, 3) picture."""
    return np.stack([np.bincount(frame[..., c].ravel(), minlength=SHADES) for c in range(3)])


def picture_stats(counts: NDArray[np.int64], frames: int) -> dict[str, Any]:
    """Statistics of the pictures whose shades were counted.

    Args:
        counts: (3, 256) sum of their `shade_counts`.
        frames: How many pictures.
    """
    shades = np.arange(SHADES) / (SHADES - 1)
    rows = []
    for channel in counts:
        present = shades[channel > 0]
        share = channel / channel.sum()
        mean = float(share @ shades)
        above = np.cumsum(share)
        rows.append(
            {
                "min": float(present[0]),
                "max": float(present[-1]),
                "mean": mean,
                "std": float(np.sqrt(share @ (shades - mean) ** 2)),
                # The last sum may fall short of 1 by rounding.
                **{
                    name: float(shades[min(int(np.searchsorted(above, q)), SHADES - 1)])
                    for name, q in QUANTILES.items()
                },
            }
        )
    found: dict[str, Any] = {name: [[[row[name]]] for row in rows] for name in rows[0]}
    return {**found, "count": [frames]}


def flat(stats: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``{feature: {name: value}}`` as the columns of the episodes' table."""
    return {
        f"stats/{feature}/{name}": value
        for feature, entries in stats.items()
        for name, value in entries.items()
    }
