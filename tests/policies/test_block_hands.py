"""Where the hands of the block expert may go: beside walls, and around clusters in any posture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.bricks import HEIGHT
from envs.block_dismantling.rules import STRICT_RIM_M
from envs.block_dismantling.state import BlockState
from envs.robot.facts import JAW_STROKE
from envs.robot.hand_geometry import HANDS_APART, SIDES
from policies.scripted.blocks.clusters import leans, pull_direction, turned_over
from policies.scripted.blocks.leaning import leaning_pair
from policies.scripted.blocks.plan import BlockPlanner
from policies.scripted.blocks.rims import PALM, RIM_GAP, lowest_between_rims
from policies.scripted.grasping import hand_quat, leaning_grasp, stacked_grasp
from xr0_sim.conventions import ARMS
from xr0_sim.rotations import quat_from_rotvec, quat_rotate

HALF = np.array([0.016, 0.032, HEIGHT / 2])
STRAIGHT_DOWN = hand_quat(np.array([0.0, -1.0]), np.pi / 2)


def stack(tilt=0.0, n=3):
    """A stack of bricks that leans by an angle about x [rad]; brick 0 is at the bottom."""
    quat = quat_from_rotvec(np.array([tilt, 0.0, 0.0]))
    up = quat_rotate(quat, np.array([0.0, 0.0, 1.0]))
    joined = np.eye(n, k=1, dtype=bool)
    return BlockState(
        pos=np.array([0.0, 0.0, 0.04]) + np.arange(n)[:, None] * HEIGHT * up,
        quat=np.tile(quat, (n, 1)),
        half_size=np.tile(HALF, (n, 1)),
        target=np.zeros(n, dtype=np.int64),
        sorted=np.zeros(n, dtype=bool),
        in_bin=np.full(n, -1),
        joined=joined,
        gripped=np.array([-1, -1]),
        bins=np.array([[0.185, 0.215], [0.185, -0.215]]),
    )


@pytest.mark.parametrize("tilt", [-1.5, -0.8, 0.8, 1.5])
def test_hands_around_a_leaning_stack_stay_on_their_own_sides(tilt):
    state = stack(tilt)
    assert leans(state, 0)
    brick, puller, held = leaning_pair(state, [0, 1, 2])
    taken, other = (
        leaning_grasp(arm, state.pos[i], state.quat[i], state.half_size[i])
        for arm, i in ((puller, brick), (1 - puller, held))
    )
    side = SIDES[ARMS[puller]]
    assert side * (taken.pos[1] - other.pos[1]) >= HANDS_APART
    assert pull_direction(state, brick)[2] > -0.3 and brick in (0, 2)


def test_what_two_hands_hold_is_kept():
    state = replace(stack(0.8), gripped=np.array([2, 1]))
    assert leaning_pair(state, [0, 1, 2]) == (2, 0, 1)


def test_an_upright_stack_is_gripped_as_before():
    state = stack(0.0)
    assert not leans(state, 0)
    old, new = (
        grasp(0, state.pos[1], state.quat[1], HALF) for grasp in (stacked_grasp, leaning_grasp)
    )
    assert np.allclose(old.pos, new.pos) and np.allclose(old.quat, new.quat)


def test_a_stack_on_its_head_comes_apart_from_above():
    state = stack(np.pi)
    assert not leans(state, 0) and turned_over(state).joined[2, 1]
    left, right = BlockPlanner(any_way_up=True).jobs(state)
    taken = left if left.kind == "take" else right
    assert {left.kind, right.kind} == {"take", "hold"} and taken.brick == 0
    assert pull_direction(state, taken.brick)[2] > 0.99
    # A planner that takes every stack for upright pulls the lowest brick into the table.
    assert {job.brick for job in BlockPlanner().jobs(state) if job.kind == "take"} == {2}


def test_a_palm_goes_no_lower_than_the_wall_below_it():
    state = stack()
    middle = state.bins[0]
    above_wall = middle + np.array([0.0, BIN_HALF_SIZE + WALL])
    shut = (0.3, 0.3)
    lowest = lowest_between_rims(state, above_wall, STRAIGHT_DOWN, shut)
    # Straight down, fingers and palm reach 6 mm below and 71 mm above the tool.
    assert lowest == pytest.approx(STRICT_RIM_M + 0.006 + RIM_GAP, abs=1e-6)
    in_tray = lowest_between_rims(state, middle, STRAIGHT_DOWN, shut)
    assert in_tray <= STRICT_RIM_M + PALM[1][0] + RIM_GAP


def test_an_open_finger_meets_a_wall_that_a_shut_one_clears():
    state = stack()
    spot = state.bins[0] + np.array([BIN_HALF_SIZE - 0.03, 0.0])
    shut, wide = (lowest_between_rims(state, spot, STRAIGHT_DOWN, (j, j)) for j in (0.0, 0.8))
    assert 0.8 * JAW_STROKE > 0.03 and wide > STRICT_RIM_M > shut


def test_a_hand_makes_way_for_one_that_puts_a_brick_down():
    state = stack(n=4)
    # Brick 3 is loose, in the left hand, and bound for the right tray.
    joined = state.joined.copy()
    joined[2, 3] = False
    target = np.array([0, 0, 0, 1])
    # The others stand on the table.
    pos = state.pos - [0.0, 0.0, 0.04 - HEIGHT / 2]
    pos[3] = [0.0, 0.06, 0.15]
    for gripped, away in ((-1, True), (1, True)):
        busy = replace(state, joined=joined, target=target, pos=pos, gripped=np.array([3, gripped]))
        assert BlockPlanner(any_way_up=True).jobs(busy)[1].kind == ("rest" if away else "hold")
    pos = pos.copy()
    pos[3] = [0.2, 0.06, 0.15]
    far = replace(state, joined=joined, target=target, pos=pos, gripped=np.array([3, 1]))
    assert BlockPlanner(any_way_up=True).jobs(far)[1].kind in ("hold", "take")
