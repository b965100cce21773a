"""How far a fold has come: folds made, stage, phase, and what the reward asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.reward import near
from envs.towel_folding.cloth import SIDE
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.folds import (
    CORNER_LIMIT,
    MIRROR_LIMIT,
    Fold,
    FoldFit,
    corners,
    fold_frame,
    heading,
)

REACH_DISTANCE = 0.07
"""A tool this near to its corner is reaching for it [m]."""
CORNER_REACH = 0.05
"""A pinched mass point this near to a corner holds that corner [m]."""
LIFTED = 0.03
"""Height at which a held corner counts as lifted [m]."""
HANDLED_SLACK = 2.0
"""How much further apart the layers of an earlier fold may be while hands are at the towel."""
STAGES = ("start", "reached", "grasped", "lifted", "past_midline", "placed", "released")
PHASES = ("approach", "reach", "grasp", "lift", "carry", "place", "release", "done")


@dataclass(frozen=True)
class Standing:
    """How the present fold stands.

    Attributes:
        held: Share of its moving corners that are held or in place.
        reach: Nearness of the tools to its moving corners.
        phase: One of `PHASES`.
        stage: Index into `STAGES`.
    """

    held: float
    reach: float
    phase: str
    stage: int


def count_made(
    points: NDArray[np.float64],
    folds: Sequence[Fold],
    fits: Sequence[FoldFit],
    before: int,
    carried: bool,
    handled: bool,
) -> int:
    """Number of folds in place.

    A new one counts once its corners are down and let go; an old one as long as it holds, which is
    read more leniently while hands carry the towel or press on it.

    Args:
        points: Mass points (grid², 3) [m].
        folds: Folds asked for.
        fits: How well the towel agrees with each of them, the earlier ones made.
        before: Folds in place a tick ago.
        carried: Whether a hand holds the towel.
        handled: Whether a hand touches it.
    """
    grid = round(len(points) ** 0.5)
    count = 0
    for k, (fold, fit) in enumerate(zip(folds, fits, strict=True)):
        slack = HANDLED_SLACK if k < before and (carried or handled) else 1.0
        if fit.mirror > slack * MIRROR_LIMIT or fit.corner > slack * CORNER_LIMIT:
            break
        high = points[corners(grid, fold)[:, 0], 2].max() > LIFTED
        if k >= before and (high or carried):
            break
        count = k + 1
    return count


def judge(
    points: NDArray[np.float64],
    tools: NDArray[np.float64],
    held: tuple[int, int],
    folds: Sequence[Fold],
    made: int,
    finished: bool,
) -> Standing:
    """Stage, phase and reward terms of the present fold.

    Args:
        points: Mass points (grid², 3) [m].
        tools: Tool points (2, 3) [m].
        held: Mass point each arm pinches, or -1.
        folds: Folds asked for; empty for a towel that is to be spread.
        made: Folds in place.
        finished: Whether the towel is as asked and let go.
    """
    holding = [points[point] for point in held if point != NOTHING]
    if finished:
        return Standing(1.0, 1.0, "done", len(STAGES) - 1)
    if not folds:
        gap = np.linalg.norm(points[None] - tools[:, None], axis=2).min(axis=1)
        phase = "carry" if holding else "reach" if gap.min() < REACH_DISTANCE else "approach"
        return Standing(len(holding) / 2, near(float(gap.mean()), 0.02, margin=0.3), phase, 0)
    which = min(made, len(folds) - 1)
    fold = folds[which]
    pairs = corners(round(len(points) ** 0.5), fold)
    moving, target = points[pairs[:, 0]], points[pairs[:, 1]]
    placed = np.linalg.norm(moving - target, axis=1) <= CORNER_LIMIT
    gripped = np.array(
        [any(np.linalg.norm(hand - p) < CORNER_REACH for hand in holding) for p in moving]
    )
    gap = np.linalg.norm(moving[:, None] - tools[None], axis=2).min(axis=1)
    share = float((gripped | placed).mean())
    reach = 1.0 if placed.all() else near(float(gap.mean()), 0.02, margin=0.3)
    rotation, _ = fold_frame(points, folds, which)
    across = float((target - moving).mean(axis=0)[:2] @ heading(rotation, fold))
    if placed.all():
        phase, stage = ("place", 5) if holding else ("release", 6)
    elif gripped.all():
        lifted = moving[:, 2].min() > LIFTED
        past = lifted and across < SIDE / 2
        phase, stage = ("carry", 4) if past else ("lift", 3) if lifted else ("grasp", 2)
    elif gripped.any():
        phase, stage = "grasp", 1
    else:
        phase = "reach" if gap.min() < REACH_DISTANCE else "approach"
        stage = int(gap.max() < REACH_DISTANCE)
    return Standing(share, reach, phase, stage)
