"""Folds as mirrorings, and how well a towel agrees with a folded one – in its own frame.

Material coordinates (u, v) of a mass point are its place in the flat towel, which starts with u
along the table's x and v along y. A fold maps one half onto the other::

        far edge, u = +L/2                     direction   moving half   lands on
      +---------------------+   x              away        u < 0         u > 0
      |                     |   ^              toward      u > 0         u < 0
      |   u ^               |   |              right       v > 0         v < 0
      |     |               |   +              left        v < 0         v > 0
      | v <-+               |  /
      +---------------------+ y (left)
        near edge, u = -L/2

After any number of folds the *layout* (k, 2) says where each mass point belongs in the plane, up to
a rigid motion of the whole towel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import SIDE, rest_grid, triangles
from xr0_sim.errors import unknown_name

DIRECTIONS = {"away": (0, -1.0), "toward": (0, 1.0), "left": (1, -1.0), "right": (1, 1.0)}
"""Fold direction -> material axis and the sign of the half that moves."""

MIRROR_LIMIT = 0.10 * SIDE
"""Largest mean distance of mirror partners [m]."""
CORNER_LIMIT = 0.12 * SIDE
"""Largest distance of two corners that belong together [m]."""
IOU_LIMIT = 0.80
LAYER_LIMIT = 0.80
"""Share of partners whose moved half lies on top."""
CREASE = 0.15
"""Partners nearer than this share of the side to the crease say nothing about layers."""
LAYER_HEIGHT = 0.012
"""Height a towel may have per layer; creases stand up a little [m]."""
CELL = 0.01
"""Side of the squares footprints are compared on [m]."""


@dataclass(frozen=True)
class Fold:
    """One fold by its direction."""

    direction: str

    def __post_init__(self) -> None:
        """Checks the name."""
        if self.direction not in DIRECTIONS:
            raise unknown_name("fold direction", str(self.direction), DIRECTIONS)

    @property
    def axis(self) -> int:
        """Material axis that is mirrored: 0 for u, 1 for v."""
        return DIRECTIONS[self.direction][0]

    @property
    def sign(self) -> float:
        """Sign of the moving half along that axis."""
        return DIRECTIONS[self.direction][1]


@dataclass(frozen=True)
class FoldFit:
    """How well a towel agrees with a folded one.

    Attributes:
        mirror: Mean distance of mirror partners; of a flat towel, from its best flat place [m].
        corner: Largest distance of corners that belong together, or from their flat places [m].
        iou: Intersection over union of the footprint with the ideal one.
        layers: Share of partners whose moved half is on top; 1 for a flat towel.
        height: Highest mass point above the table [m].
    """

    mirror: float
    corner: float
    iou: float
    layers: float
    height: float

    def good(self, folds: int) -> bool:
        """Whether this is a towel folded `folds` times; 0 for a flat one."""
        return (
            self.mirror <= MIRROR_LIMIT
            and self.corner <= CORNER_LIMIT
            and self.iou >= IOU_LIMIT
            and self.layers >= LAYER_LIMIT
            and self.height <= LAYER_HEIGHT * 2**folds
        )


def mirror_index(grid: int, fold: Fold) -> NDArray[np.int64]:
    """Mirror partner of every mass point under a fold, (grid²,)."""
    return np.flip(np.arange(grid * grid).reshape(grid, grid), axis=fold.axis).ravel()


@functools.lru_cache(maxsize=32)
def mirror_pairs(grid: int, fold: Fold) -> NDArray[np.int64]:
    """Mass points that a fold brings together, (k, 2): the moving one and the one it lands on."""
    moving = np.flatnonzero(rest_grid(grid)[:, fold.axis] * fold.sign > 1e-9)
    return np.stack([moving, mirror_index(grid, fold)[moving]], axis=1)


def corners(grid: int, fold: Fold) -> NDArray[np.int64]:
    """Corners of the moving edge and the corners they land on, (2, 2).

    The first row is the one further to the left of the table (to the far side for side folds).
    """
    last = grid - 1
    moving = 0 if fold.sign < 0 else last
    rows = []
    for other in (last, 0):
        cell, target = [0, 0], [0, 0]
        cell[fold.axis], target[fold.axis] = moving, last - moving
        cell[1 - fold.axis] = target[1 - fold.axis] = other
        rows.append([cell[0] * grid + cell[1], target[0] * grid + target[1]])
    return np.array(rows)


def layout(grid: int, folds: Sequence[Fold]) -> NDArray[np.float64]:
    """Places of the mass points in the plane after some folds, (grid², 2) [m]."""
    points = rest_grid(grid).copy()
    for fold in folds:
        moving = points[:, fold.axis] * fold.sign > 0
        points[moving, fold.axis] *= -1.0
    return points


def fit_plane(
    places: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (2, 2) and shift (2,) that bring `places` (k, 2) nearest to `points` (k, 2)."""
    weight = np.ones(len(places)) if weights is None else weights
    weight = weight / weight.sum()
    middle, target = weight @ places, weight @ points
    spread = (places - middle).T @ ((points - target) * weight[:, None])
    angle = np.arctan2(spread[0, 1] - spread[1, 0], spread[0, 0] + spread[1, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    return rotation, target - rotation @ middle


def fold_frame(
    points: NDArray[np.float64], folds: Sequence[Fold], which: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the towel lies, seen from the half that fold `which` leaves in place.

    Returns:
        Rotation (2, 2) and shift (2,) [m] from the layout before that fold to the table.
    """
    places = layout(round(len(points) ** 0.5), folds[:which])
    fold = folds[which]
    still = places[:, fold.axis] * fold.sign < 1e-9
    return fit_plane(places[still], points[still, :2])


def heading(rotation: NDArray[np.float64], fold: Fold) -> NDArray[np.float64]:
    """Unit direction on the table in which a fold moves its edge, (2,)."""
    return -fold.sign * rotation[:, fold.axis]


def measure(points: NDArray[np.float64], folds: tuple[Fold, ...]) -> FoldFit:
    """Judges a towel (grid², 3) [m] against the layout after `folds`."""
    grid = round(len(points) ** 0.5)
    places = layout(grid, folds)
    rotation, shift = fit_plane(places, points[:, :2])
    ideal = places @ rotation.T + shift
    if folds:
        gaps, spans, above = [], [], []
        for k, fold in enumerate(folds):
            pairs = mirror_pairs(grid, fold)
            gaps.append(_distance(points, pairs).mean())
            spans.append(_distance(points, corners(grid, fold)).max())
            above.append(_share_on_top(points, grid, folds, k))
        mirror, corner, layers = max(gaps), max(spans), min(above)
    else:
        flipped = places * (1.0, -1.0)
        turned, moved = fit_plane(flipped, points[:, :2])
        other = flipped @ turned.T + moved
        if ((other - points[:, :2]) ** 2).sum() < ((ideal - points[:, :2]) ** 2).sum():
            ideal = other
        off = np.linalg.norm(points - np.column_stack([ideal, np.zeros(len(ideal))]), axis=1)
        ends = [0, grid - 1, grid * (grid - 1), grid * grid - 1]
        mirror, corner, layers = off.mean(), off[ends].max(), 1.0
    iou = footprint_iou(points[:, :2], ideal, grid)
    return FoldFit(float(mirror), float(corner), iou, float(layers), float(points[:, 2].max()))


def _distance(points: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)


def _share_on_top(
    points: NDArray[np.float64], grid: int, folds: tuple[Fold, ...], which: int
) -> float:
    """Share of the partners of one fold whose moved half lies where it belongs.

    That is on top, unless a later fold has turned the pair over.
    """
    fold = folds[which]
    pairs = mirror_pairs(grid, fold)
    pairs = pairs[np.abs(rest_grid(grid)[pairs[:, 0], fold.axis]) > CREASE * SIDE]
    above = points[pairs[:, 0], 2] > points[pairs[:, 1], 2]
    for later in folds[which + 1 :]:
        turned = layout(grid, folds[: folds.index(later)])[pairs[:, 0], later.axis]
        above ^= turned * later.sign > 0
    return float(above.mean())


def footprint_iou(first: NDArray[np.float64], second: NDArray[np.float64], grid: int) -> float:
    """Intersection over union of the areas two towels (grid², 2) [m] cover."""
    low = np.minimum(first.min(axis=0), second.min(axis=0)) - CELL
    high = np.maximum(first.max(axis=0), second.max(axis=0)) + CELL
    size = np.minimum(np.ceil((high - low) / CELL).astype(int), 200)
    a, b = (_footprint((points - low) / CELL, size, grid) for points in (first, second))
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


@functools.lru_cache(maxsize=4)
def _filling(grid: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Faces and barycentric sample points that leave no cell of a towel empty."""
    steps = max(3, int(np.ceil(SIDE / (grid - 1) / CELL * 1.6)))
    a, b = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    inside = a + b <= steps
    share = np.stack([a[inside], b[inside], steps - a[inside] - b[inside]], axis=1) / steps
    return triangles(grid), share


def _footprint(
    points: NDArray[np.float64], size: NDArray[np.int64], grid: int
) -> NDArray[np.bool_]:
    faces, share = _filling(grid)
    cells = (share @ points[faces]).reshape(-1, 2).astype(int)
    covered = np.zeros(size, dtype=bool)
    cells = np.clip(cells, 0, size - 1)
    covered[cells[:, 0], cells[:, 1]] = True
    return covered
