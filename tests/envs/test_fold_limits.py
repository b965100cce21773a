"""Which way a fold goes, and that it is good if all five figures are within their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.towel_folding.cloth import SIDE, rest_grid
from envs.towel_folding.folds import Fold, FoldFit, corners, heading, mirror_pairs

JUST_GOOD = FoldFit(
    mirror=0.0999 * SIDE, corner=0.1199 * SIDE, iou=0.801, layers=0.801, height=0.0239
)


def test_a_fold_just_within_all_limits_is_good():
    assert JUST_GOOD.good(1)


@pytest.mark.parametrize(
    "worse",
    [
        {"mirror": 0.1001 * SIDE},
        {"corner": 0.1201 * SIDE},
        {"iou": 0.799},
        {"layers": 0.799},
        {"height": 0.0241},
    ],
    ids=lambda worse: next(iter(worse)),
)
def test_one_figure_beyond_its_limit_is_enough_to_fail(worse):
    assert not replace(JUST_GOOD, **worse).good(1)


def test_two_folds_may_be_twice_as_high_as_one_and_none_half():
    high = replace(JUST_GOOD, height=0.0479)
    assert high.good(2) and not high.good(1) and not JUST_GOOD.good(0)


@pytest.mark.parametrize(
    ("direction", "way"),
    [("away", (1, 0)), ("toward", (-1, 0)), ("left", (0, 1)), ("right", (0, -1))],
)
def test_a_fold_moves_its_edge_where_its_name_says(direction, way):
    """On the table x points away from the person in front of it and y to the left."""
    fold = Fold(direction)
    np.testing.assert_allclose(heading(np.eye(2), fold), way)
    rest = rest_grid(5)
    moving, still = mirror_pairs(5, fold).T
    assert ((rest[still] - rest[moving]) @ way > 0).all()
    start, end = corners(5, fold).T
    assert ((rest[end] - rest[start]) @ way > 0.9 * SIDE).all()
