"""What counts as a folded towel: its footprint, its corners, and rest."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from envs.towel_folding.assessment import LIFTED, count_made
from envs.towel_folding.cloth import LAYER_RADIUS, RADIUS, SIDE, rest_grid
from envs.towel_folding.env import REST_S, REST_SPEED, TowelFoldingEnv
from envs.towel_folding.folds import (
    CORNER_LIMIT,
    IOU_LIMIT,
    LAYER_LIMIT,
    MIRROR_LIMIT,
    Fold,
    FoldFit,
    corners,
    measure,
)

AWAY = Fold("away")
REST_TICKS = 15
"""Half a second at 30 Hz."""
GOOD = FoldFit(mirror=0.0, corner=0.0, iou=1.0, layers=1.0, height=0.008)


def folded(grid, scale=1.0):
    """A towel folded away from the operator, shrunk by a factor, (grid², 3)."""
    points = np.column_stack([rest_grid(grid), np.full(grid * grid, RADIUS)])
    moving = points[:, AWAY.axis] * AWAY.sign > 1e-9
    points[moving, AWAY.axis] *= -1
    points[moving, 2] += RADIUS + LAYER_RADIUS
    points[:, :2] *= scale
    return points


def test_the_limits_are_those_the_environment_states():
    assert (IOU_LIMIT, LAYER_LIMIT) == (0.8, 0.8)
    assert (MIRROR_LIMIT, CORNER_LIMIT) == (pytest.approx(0.10 * SIDE), pytest.approx(0.12 * SIDE))
    assert (REST_S, REST_SPEED) == (0.5, 0.03)
    for text in ("at rest for 0.5 s", "IoU >= 0.80", "<= 0.10 L, corners <= 0.12 L"):
        assert text in " ".join(TowelFoldingEnv.__doc__.split())


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"iou": 0.80}, True),
        ({"iou": 0.79}, False),
        ({"iou": 0.70}, False),
        ({"mirror": 0.99 * MIRROR_LIMIT}, True),
        ({"mirror": 1.01 * MIRROR_LIMIT}, False),
        ({"corner": 0.99 * CORNER_LIMIT}, True),
        ({"corner": 1.01 * CORNER_LIMIT}, False),
        ({"layers": 0.79}, False),
        ({"height": 0.025}, False),
    ],
)
def test_every_part_of_a_fit_has_its_limit(change, good):
    assert replace(GOOD, **change).good(1) is good


def test_a_towel_of_the_wrong_area_is_not_folded():
    fit = measure(folded(13, 0.95), (AWAY,))
    assert fit.good(1) and fit.iou == pytest.approx(0.9, abs=0.02)
    fit = measure(folded(13, 0.85), (AWAY,))
    assert not fit.good(1) and fit.iou == pytest.approx(0.7, abs=0.04)
    assert fit.mirror < MIRROR_LIMIT and fit.corner < CORNER_LIMIT and fit.layers == 1.0


def test_a_fold_counts_once_its_corners_are_down_and_let_go():
    points = folded(9)
    asked, fits = (AWAY,), [GOOD]
    assert count_made(points, asked, fits, 0, carried=False, handled=False) == 1
    assert count_made(points, asked, fits, 0, carried=True, handled=True) == 0
    raised = points.copy()
    raised[corners(9, AWAY)[:, 0], 2] = 1.1 * LIFTED
    assert count_made(raised, asked, fits, 0, carried=False, handled=False) == 0
    # One that was made is read twice as leniently while hands are at the towel, else as before.
    loose = [replace(GOOD, mirror=1.5 * MIRROR_LIMIT)]
    assert count_made(points, asked, loose, 1, carried=False, handled=True) == 1
    assert count_made(points, asked, loose, 1, carried=False, handled=False) == 0
    assert count_made(points, asked, loose, 0, carried=False, handled=True) == 0


def test_a_perfect_fold_is_a_success_after_half_a_second_of_rest():
    env = TowelFoldingEnv(observation="state", grid=9, material="soft")
    env.reset_scene(0, {"folds": "away"})
    env._towel.place(env.data, folded(9))
    mujoco.mj_kinematics(env.model, env.data)
    still, ticks = 0, 0
    while still < REST_TICKS:
        _, over, _, info = env.advance(env._home)
        still = still + 1 if env._towel.fastest(env.data) < REST_SPEED else 0
        ticks += 1
        assert info["success"] is over is (still >= REST_TICKS)
        assert info["fit"]["iou"] > 0.95 and ticks < 60
    assert ticks > REST_TICKS
