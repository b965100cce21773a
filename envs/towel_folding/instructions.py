"""What is asked of the towel: levels, and the sentences that state a goal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from envs.towel_folding.folds import Fold
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.fields import CheckedFields

LEVELS = {"half": 1, "quarter": 2, "flatten": 0, "full": 2}
"""Level -> number of folds."""
CRUMPLED = ("flatten", "full")
"""Levels that start with a crumpled towel."""
FIRST, SECOND = ("away", "toward"), ("left", "right")
"""Directions the first and the second fold are drawn from."""

ONCE = {
    "away": (
        "fold the towel in half away from you",
        "fold the towel away from you, near edge onto the far edge",
        "take the near edge of the towel and lay it on the far edge",
        "lift the side next to you and fold it over to the far side",
        "bring the edge closest to you over the far one and let go",
    ),
    "toward": (
        "fold the towel in half toward you",
        "fold the towel toward you, far edge onto the near edge",
        "take the far edge of the towel and lay it on the near edge",
        "lift the side away from you and fold it over to the near side",
        "bring the farthest edge over the one next to you and let go",
    ),
    "left": (
        "fold the towel in half to the left",
        "take the right edge of the towel and lay it on the left edge",
        "fold the right side over to the left side",
    ),
    "right": (
        "fold the towel in half to the right",
        "take the left edge of the towel and lay it on the right edge",
        "fold the left side over to the right side",
    ),
}
THEN = {
    "away": "then once more away from you",
    "toward": "then once more toward you",
    "left": "then once more to the left",
    "right": "then once more to the right",
}
FLAT = (
    "spread the towel out flat",
    "smooth the towel until it lies flat on the table",
    "unfold the crumpled towel and lay it flat",
)
STAGE = ("put it on the marked spot", "place it on the staging spot")


@dataclass(frozen=True)
class Level(CheckedFields):
    """How much there is to do; a key of `LEVELS`."""

    name: str = "half"

    def __post_init__(self) -> None:
        """Checks the name."""
        if self.name not in LEVELS:
            raise unknown_name("level", str(self.name), LEVELS)

    @property
    def folds(self) -> int:
        """Number of folds asked for."""
        return LEVELS[self.name]

    @property
    def crumpled(self) -> bool:
        """Whether the towel starts crumpled."""
        return self.name in CRUMPLED

    @property
    def placed(self) -> bool:
        """Whether the towel has to end on the marked spot."""
        return self.name == "full"


def sample_folds(rng: np.random.Generator, level: Level) -> tuple[Fold, ...]:
    """Random fold directions of a level."""
    return tuple(Fold(str(rng.choice(kinds))) for kinds in (FIRST, SECOND)[: level.folds])


def check_folds(directions: str | Iterable[str], level: Level) -> tuple[Fold, ...]:
    """Validates fold directions given as a reset option: one name, or one per fold."""
    if not isinstance(directions, Iterable):
        raise ConfigError(f"folds: expected a direction, or one per fold, got {directions!r}")
    names = (directions,) if isinstance(directions, str) else tuple(directions)
    if len(names) != level.folds:
        raise ConfigError(
            f"folds: expected {level.folds} direction(s) for level {level.name!r}, got {names!r}"
        )
    folds = tuple(Fold(name) for name in names)
    if len({fold.axis for fold in folds}) != len(folds):
        raise ConfigError(
            f"folds: expected one direction along and one across, got {names!r}; "
            "combine away or toward with left or right"
        )
    return folds


def write_instruction(rng: np.random.Generator, level: Level, folds: tuple[Fold, ...]) -> str:
    """One of the paraphrases of a goal."""
    parts = [str(rng.choice(FLAT))] if level.crumpled else []
    for k, fold in enumerate(folds):
        parts.append(THEN[fold.direction] if k else str(rng.choice(ONCE[fold.direction])))
    if level.placed:
        parts.append(str(rng.choice(STAGE)))
    return ", ".join(parts)
