"""States that once fooled the judge of bricks, and those that must count."""

import numpy as np
import pytest

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.bricks import HEIGHT
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.rules import STRICT_RIM_M
from envs.block_dismantling.state import NO_BRICK
from envs.robot.actions import join_arms, split_arms
from envs.scene.stage import FLOOR_Z, TABLE_HALF_SIZE
from policies.scripted.blocks.plan import BlockPlanner

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
LAYER = HEIGHT + 0.0002
CORNER = (0.004 - BIN_HALF_SIZE,) * 2
"""Where a brick bridges two walls of a tray, from its centre [m]."""
HALF_SECOND = 15
"""Ticks at 30 Hz."""
SETTLE = HALF_SECOND + 15
"""Ticks in which a brick comes to rest and is judged."""


@pytest.fixture(scope="module")
def two():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


def apart(env, seed=0, target=0):
    """A scene whose clutches are open, every brick belonging in one tray, none of them there."""
    env.reset_scene(seed, {"rule": dict.fromkeys(("red", "yellow", "blue", "green"), target)})
    env.open_clutches()
    return env.bins[target]


def put(env, brick, pos, quat=UPRIGHT):
    place = env._brick_qpos[brick]
    env.data.qpos[place[:3]], env.data.qpos[place[3:]] = pos, quat
    env.data.qvel[env._brick_dof[brick]] = 0.0


def about(axis, degrees):
    half = np.radians(degrees) / 2
    return np.array([np.cos(half), *(np.sin(half) * np.array(axis, dtype=float))])


def states(env, ticks=SETTLE):
    """What has become of the bricks after each tick in which the arms keep still."""
    return [env.advance(env._command)[3]["bricks"] for _ in range(ticks)]


def on_floor(env, brick, centre, shift=(0.0, 0.0)):
    put(env, brick, [*(centre + np.array(shift)), env._half_size[brick][2] + 0.0002])


def test_a_brick_on_the_floor_of_its_tray_is_sorted_after_half_a_second_of_rest(two):
    centre = apart(two)
    on_floor(two, 0, centre)
    seen = [state[0] for state in states(two)]
    first = seen.index("sorted") + 2  # the reset has already counted one
    assert HALF_SECOND <= first <= HALF_SECOND + 5
    assert set(seen[: first - 2]) == {"detached"} and set(seen[first - 2 :]) == {"sorted"}


@pytest.mark.parametrize(
    "off",
    [(-BIN_HALF_SIZE - WALL, 0.0), CORNER],
    ids=["on the rim", "across a corner, centre inside"],
)
def test_a_brick_that_lies_on_the_rim_is_not_sorted(two, off):
    centre = apart(two)
    put(two, 0, [*(centre + off), STRICT_RIM_M + two._half_size[0][2]])
    assert all(state[0] == "detached" for state in states(two))
    assert two.data.xpos[two._bodies][0, 2] > STRICT_RIM_M


def test_a_brick_tipped_over_the_rim_is_not_sorted():
    env = BlockDismantlingEnv(n_bricks=4, observation="state")
    centre = apart(env)
    assert env.bricks[3].size == (2, 4)
    edge = centre[1] - BIN_HALF_SIZE
    for brick in range(3):
        put(env, brick, [centre[0], edge + 0.035, (brick + 0.5) * LAYER])
    put(env, 3, [centre[0], edge + 0.014, 0.084], about((1, 0, 0), -15))
    seen = states(env)
    assert seen[-1] == ("sorted", "sorted", "sorted", "detached")
    assert env._judge.bin_of(env.data.xpos[env._bodies][3]) == 0
    assert env._judge._rest[3] >= HALF_SECOND


def test_a_brick_below_the_tray_is_not_sorted(two):
    centre = apart(two)
    put(two, 0, [*centre, FLOOR_Z + two._half_size[0][2] + 0.001])
    assert all(state[0] == "lost" for state in states(two))


def hand_at(env, brick, above):
    """Puts the open left hand `above` [m] a brick's centre and keeps it there."""
    kinematics = env.kinematics
    joints, _ = split_arms(env._command)
    pos, quat = kinematics.forward(joints)
    pos = pos.copy()
    place = env.data.qpos[env._brick_qpos[brick][:3]]
    pos[0] = place
    pos[0, 2] += above
    for _ in range(80):
        joints = kinematics.inverse(joints, pos, quat, 3)
    assert np.linalg.norm(kinematics.forward(joints)[0][0] - pos[0]) < 0.003
    command = join_arms(joints, np.full(2, 0.8))
    env._ports.place(env.data, command, command)
    env._command = command


@pytest.mark.parametrize("above", [0.005, 0.045], ids=["around", "above"])
def test_a_brick_under_an_open_hand_is_not_sorted_until_the_hand_has_gone(two, above):
    centre = apart(two)
    on_floor(two, 0, centre, (0.0, 0.02))
    hand_at(two, 0, above)
    seen = states(two)
    assert not two._touch.touched[0] and two._judge._rest[0] >= HALF_SECOND
    assert all(state[0] == "detached" for state in seen)
    assert two.privileged().in_bin[0] == 0, "the tray still counts as its place"
    hand_at(two, 0, 0.09)
    assert states(two, 2)[-1][0] == "sorted"
    hand_at(two, 0, above)
    assert states(two, 5)[-1][0] == "sorted", "what was let go stays sorted until it is touched"


def test_piles_count_as_far_as_they_lie_below_the_rim():
    env = BlockDismantlingEnv(n_bricks=4, observation="state")
    centre = apart(env)
    for brick in range(4):
        put(env, brick, [*centre, (brick + 0.5) * LAYER])
    assert states(env)[-1] == ("sorted", "sorted", "sorted", "detached")
    assert env.privileged().in_bin.tolist() == [0, 0, 0, NO_BRICK]


def test_a_brick_stranded_on_the_rim_is_picked_up_again(two):
    centre = apart(two)
    on_floor(two, 1, centre)
    put(two, 0, [*(centre + CORNER), STRICT_RIM_M + two._half_size[0][2]])
    states(two)
    assert two.privileged().in_bin.tolist() == [NO_BRICK, 0]
    assert two.privileged_vector()[12] == NO_BRICK
    jobs = BlockPlanner().jobs(two.privileged())
    assert [(job.kind, job.brick) for job in jobs if job.kind != "rest"] == [("pick", 0)]


def test_a_brick_pushed_off_the_table_rests_on_the_floor_as_lost(two):
    apart(two)
    put(two, 0, [TABLE_HALF_SIZE[0] + 0.02, 0.0, 0.03])
    seen = states(two, 60)
    height = two.data.xpos[two._bodies][0, 2]
    assert seen[-1][0] == "lost" and abs(height - FLOOR_Z) < 0.04
    info = two.advance(two._command)[3]
    assert info["drops"] == 1 and not info["success"]
    jobs = BlockPlanner().jobs(two.privileged())
    assert 0 not in [job.brick for job in jobs], "no hand reaches for it"


def test_bricks_are_judged_as_before_in_the_first_world():
    env = BlockDismantlingEnv(n_bricks=2, observation="state", world="0.1")
    centre = apart(env)
    on_floor(env, 0, centre)
    assert [state[0] for state in states(env, 10)].index("sorted") + 1 <= 10


def test_a_restored_judge_remembers_who_has_settled(two):
    centre = apart(two)
    on_floor(two, 0, centre)
    states(two)
    put(two, 1, [*(centre + CORNER), STRICT_RIM_M + two._half_size[1][2]])
    states(two)
    kept = two.snapshot()
    expected = two.privileged_vector()
    apart_again = states(two, 3)
    two.restore(kept)
    np.testing.assert_array_equal(two.privileged_vector(), expected)
    assert states(two, 3) == apart_again


@pytest.mark.slow
def test_thirty_four_bricks_find_room_in_one_tray_and_a_half():
    env = BlockDismantlingEnv(n_bricks=34, layout="mixed", observation="state")
    centre = apart(env)
    for brick in range(34):
        if brick < 24:
            layer, k = divmod(brick, 8)
            x, y = divmod(k, 2)
            spot = [centre[0] - 0.063 + 0.042 * x, centre[1] - 0.042 + 0.084 * y]
            put(env, brick, [*spot, (layer + 0.5) * LAYER], _along_y(env, brick))
        else:
            put(env, brick, [-0.35, -0.4 + 0.08 * (brick - 24), 0.011])
    assert states(env)[-1].count("sorted") == 24


def _along_y(env, brick):
    half = env._half_size[brick]
    return UPRIGHT if half[1] >= half[0] else about((0, 0, 1), 90)
