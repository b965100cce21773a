"""A towel that passes through itself is noticed, and no heap starts like that."""

import numpy as np
import pytest

from envs.towel_folding.cloth import RADIUS, SIDE, rest_grid
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import measure
from envs.towel_folding.self_intersection import crossings

GRID = 13


def flat():
    return np.column_stack([rest_grid(GRID), np.full(GRID**2, RADIUS)])


def folded(height):
    points = flat()
    moved = points[:, 0] < 0
    points[moved, 0] *= -1.0
    points[moved, 2] = height
    return points


def test_a_flat_and_a_folded_towel_do_not_cross_themselves():
    assert crossings(flat(), GRID) == 0
    assert crossings(folded(0.010), GRID) == 0


def test_a_corner_pushed_through_another_layer_crosses_it():
    points = folded(0.010)
    points[0] = [SIDE / 2 - 0.02, -SIDE / 2 + 0.02, -0.01]  # moved inwards and below
    assert crossings(points, GRID) > 0


def test_crossings_do_not_depend_on_where_the_towel_lies():
    points = folded(0.010)
    points[0] = [SIDE / 2 - 0.02, -SIDE / 2 + 0.02, -0.01]
    cos, sin = np.cos(0.7), np.sin(0.7)
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + [0.3, -0.2]
    assert crossings(turned, GRID) == crossings(points, GRID)


@pytest.mark.parametrize("seed", range(4))
def test_heaps_start_crumpled_and_whole(seed):
    env = TowelFoldingEnv(level="flatten")
    env.reset(seed=seed)
    assert crossings(env.points, GRID) == 0
    assert not measure(env.points, ()).good(0)
