"""Random connected assemblies: a level is a number of bricks and a layout.

All layouts are walls along y, two studs thick, so that two hands that come from the sides can grip
every brick in some order; `access.dismantling_order` proves it for each sample. ``layered`` (LA in
the paper's protocol) has closed rows, ``mixed`` (MA) adds bricks laid across the wall, ``random``
lets towers and overhangs grow freely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.block_dismantling.bricks import COLOURS, Brick
from envs.block_dismantling.clutch import find_interfaces
from envs.block_dismantling.grasp_clearance import dismantling_order
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.fields import CheckedFields

LAYOUTS = ("random", "layered", "mixed")
MAX_BRICKS = 34
MAX_ATTEMPTS = 500
TIP_MARGIN = 0.008
"""How far inside its footprint on the table an assembly's centre of mass stays [m]."""

PRESETS = {
    "la5": (5, "layered"),
    "la10": (10, "layered"),
    "la20": (20, "layered"),
    "ma34": (34, "mixed"),
}
"""The assemblies of the paper's real-robot protocol: name -> (bricks, layout)."""


@dataclass(frozen=True)
class Level(CheckedFields):
    """How many bricks, and how they are stacked."""

    n_bricks: int
    layout: str = "random"

    def __post_init__(self) -> None:
        """Checks the range and the layout's name."""
        if not 1 <= self.n_bricks <= MAX_BRICKS:
            raise ConfigError(f"n_bricks: expected 1 .. {MAX_BRICKS}, got {self.n_bricks}")
        if self.layout not in LAYOUTS:
            raise unknown_name("layout", self.layout, LAYOUTS)


def is_connected(bricks: tuple[Brick, ...]) -> bool:
    """Whether clutches join all bricks into one body."""
    parent = list(range(len(bricks)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for face in find_interfaces(bricks):
        parent[root(face.lower)] = root(face.upper)
    return len({root(i) for i in range(len(bricks))}) == 1


def is_stable(bricks: tuple[Brick, ...]) -> bool:
    """Whether the assembly stands by itself as one rigid body."""
    areas = np.array([b.size[0] * b.size[1] for b in bricks], dtype=float)
    mass_y = float(areas @ [b.centre[1] for b in bricks]) / areas.sum()
    base = [b for b in bricks if b.layer == 0]
    low = min(b.centre[1] - b.half_size[1] for b in base)
    high = max(b.centre[1] + b.half_size[1] for b in base)
    return low + TIP_MARGIN <= mass_y <= high - TIP_MARGIN


def sample_assembly(rng: np.random.Generator, level: Level) -> tuple[Brick, ...]:
    """A random connected assembly that two hands can take apart.

    Raises:
        ConfigError: No sample of this level passed in `MAX_ATTEMPTS` draws.
    """
    build = _grow if level.layout == "random" else _lay_rows
    for _ in range(MAX_ATTEMPTS):
        bricks = build(rng, level)
        if not bricks or not is_connected(bricks) or not is_stable(bricks):
            continue
        if dismantling_order(bricks) is not None:
            return bricks
    raise ConfigError(
        f"no {level.layout} assembly of {level.n_bricks} bricks could be drawn in "
        f"{MAX_ATTEMPTS} attempts; use another seed or a smaller n_bricks"
    )


def _colour(rng: np.random.Generator) -> str:
    return list(COLOURS)[rng.integers(len(COLOURS))]


def _lay_rows(rng: np.random.Generator, level: Level) -> tuple[Brick, ...]:
    """Lays closed rows with staggered joints, the last one partly filled."""
    per_row = max(2, round(math.sqrt(level.n_bricks / 1.4)))
    bricks: list[Brick] = []
    layer = 0
    while len(bricks) < level.n_bricks:
        count = min(per_row, level.n_bricks - len(bricks))
        across = rng.random(count) < (0.25 if level.layout == "mixed" else 0.0)
        lengths = np.where(across, 2, rng.choice([2, 4], size=count, p=[0.35, 0.65]))
        y = -int(lengths.sum()) // 2 + int(rng.integers(-1, 2)) * (layer > 0)
        row = []
        for length, crosswise in zip(lengths, across, strict=True):
            size = (4, 2) if crosswise else (2, int(length))
            row.append(Brick(_colour(rng), size, (-1 if crosswise else 0, y), layer))
            y += int(length)
        if layer and not all(_carried(b, bricks) for b in row):
            return ()
        bricks += row
        layer += 1
    return tuple(bricks)


def _carried(brick: Brick, others: list[Brick]) -> bool:
    """Whether at least half of the brick's length, its middle included, stands on other bricks."""
    rows = {y for o in others if o.layer == brick.layer - 1 for _, y in brick.shared_studs(o)}
    middle = brick.cell[1] + brick.size[1] // 2
    return 2 * len(rows) >= brick.size[1] and bool(rows & {middle - 1, middle})


def _grow(rng: np.random.Generator, level: Level) -> tuple[Brick, ...]:
    """Grows an assembly brick by brick; every new brick shares studs with an earlier one."""
    length = 4 if level.n_bricks <= 4 else 2 * math.ceil(1.4 * math.sqrt(level.n_bricks))
    occupied = np.zeros((level.n_bricks + 1, length), dtype=bool)
    bricks: list[Brick] = []
    while len(bricks) < level.n_bricks:
        spots = _spots(occupied)
        if not spots:
            return ()
        layers = np.array([layer for *_, layer in spots], dtype=float)
        weights = np.exp(-1.6 * (layers - layers.min()))
        y, size, layer = spots[rng.choice(len(spots), p=weights / weights.sum())]
        bricks.append(Brick(_colour(rng), size, (0, y), layer))
        occupied[layer, y : y + size[1]] = True
    return tuple(bricks)


def _spots(occupied: np.ndarray) -> list[tuple[int, tuple[int, int], int]]:
    """Places a brick can go, as (first y cell, size, layer).

    On the table under an overhang, or on top of bricks that carry its middle.
    """
    sizes = ((2, 2), (2, 4))
    length = occupied.shape[1]
    if not occupied.any():
        return [((length - size[1]) // 2, size, 0) for size in sizes]
    spots = []
    for layer in range(int(np.flatnonzero(occupied.any(axis=1)).max()) + 2):
        for size in sizes:
            for y in range(length - size[1] + 1):
                cells = slice(y, y + size[1])
                above = occupied[layer + 1 :, cells].any()
                if occupied[layer, cells].any() or (above and layer > 0):
                    continue
                near = occupied[layer - 1 if layer else 1, cells]
                middle = near[size[1] // 2 - 1 : size[1] // 2 + 1].any()
                if near.sum() >= 2 and (middle or layer == 0):
                    spots.append((y, size, layer))
    return spots
