"""A towel is folded if every one of five figures is within its limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from envs.towel_folding.cloth import SIDE
from envs.towel_folding.folds import FoldFit

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
