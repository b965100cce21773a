"""How the block expert gets clusters and cramped bricks out of trays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs.block_dismantling.bins import BIN_HALF_SIZE
from envs.block_dismantling.env import BlockDismantlingEnv
from experiments.datagen.left_states import begin_in, read_left_states
from policies.scripted.blocks.boxed import RAISED, boxed
from policies.scripted.blocks.clusters import hang
from policies.scripted.blocks.cramped import cramped_grasp, shortage
from policies.scripted.blocks.expert import SHORT, BlockExpert, arm_goal
from policies.scripted.blocks.gripping import BLOCKED_GRASP, GRASP_TOLERANCE
from policies.scripted.blocks.plan import BlockPlanner, Job
from policies.scripted.blocks.view import ArmView
from policies.scripted.grasping import BIN_TILT, loose_grasp

FIXTURE = Path(__file__).parents[1] / "fixtures" / "left_states_blocks.npz"
BESIDE_A_TRAY = 8
"""Left state with a brick on the table 9 mm from a tray."""


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


@pytest.fixture(scope="module")
def expert(env):
    return BlockExpert(env.kinematics)


def in_tray(env, seed=0, tray=1, shift=(0.0, 0.0), yaw=0.5, roll=0.0):
    env.reset_scene(seed)
    env.set_down([0, 1], env.bins[tray] + np.array(shift), yaw, roll)
    env.advance(env.robot_state().command)
    return env.privileged()


def play(env, expert, ticks):
    info = {}
    for _ in range(ticks):
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        if done:
            break
    return info


def test_the_arm_of_the_tray_lifts_a_cluster_out_alone(env):
    planner, state = BlockPlanner(any_way_up=True), in_tray(env)
    upper = int(state.joined[0, 1])
    assert boxed(state, [0, 1]) == 1
    assert planner.jobs(state) == (Job("rest"), Job("pick", upper))
    held = replace(state, gripped=np.array([-1, upper]))
    assert planner.jobs(held) == (Job("rest"), Job("hand_over", upper))
    # On the table both hands work on it, unless it still hangs from one.
    on_table = replace(held, pos=held.pos - [*env.bins[1], 0.0], in_bin=np.array([-1, -1]))
    assert {job.kind for job in planner.jobs(on_table)} <= {"take", "hold", "pull"}
    raised = replace(on_table, pos=on_table.pos + np.array([0.0, 0.0, 2 * RAISED]))
    assert planner.jobs(raised)[1] == Job("hand_over", upper)
    # What stands on another brick hangs from nothing.
    third = {
        "pos": np.vstack([raised.pos, [0.0, 0.0, 0.0094]]),
        "quat": np.vstack([raised.quat, [1.0, 0.0, 0.0, 0.0]]),
        "half_size": np.vstack([raised.half_size, raised.half_size[:1]]),
        "joined": np.pad(raised.joined, (0, 1)),
        "target": np.append(raised.target, 1),
        "sorted": np.append(raised.sorted, False),
        "in_bin": np.append(raised.in_bin, -1),
    }
    assert planner.jobs(replace(raised, **third))[1].kind != "hand_over"
    both = replace(raised, gripped=np.array([1 - upper, upper]))
    assert {job.kind for job in planner.jobs(both)} <= {"hold", "pull"}


def test_what_hangs_on_a_brick_counts_with_it(env):
    state = in_tray(env)
    upper = int(state.joined[0, 1])
    assert hang(state, upper, [upper]) == pytest.approx(0.0094, abs=5e-4)
    assert hang(state, upper, [0, 1]) == pytest.approx(0.0094 + 0.0192, abs=5e-4)


@pytest.mark.parametrize(
    ("seed", "shift", "yaw", "roll"),
    [
        (0, (0.0, 0.0), 0.5, 0.0),
        (0, (0.005, 0.052), 2.0, -np.pi / 2),
        (1, (0.03, 0.0), -1.3, np.pi),
    ],
)
def test_a_pair_in_a_tray_is_sorted(env, expert, seed, shift, yaw, roll):
    in_tray(env, seed, 1, shift, yaw, roll)
    assert play(env, expert, 500)["success"]


def test_a_grasp_keeps_off_the_wall_beside_a_brick(env, expert):
    state = in_tray(env, yaw=0.0)
    # Brick 0 alone in a corner: a wide jaw would stand on a wall, a narrow one not.
    corner = env.bins[1] + BIN_HALF_SIZE - state.half_size[0, :2] - 0.027
    pos = state.pos.copy()
    pos[0, :2] = corner
    pos[1] = [-0.3, 0.0, 0.01]
    alone = replace(state, pos=pos, joined=np.zeros((2, 2), dtype=bool))
    view = ArmView(1, env.robot_state(), alone, expert)
    usual = loose_grasp(1, alone.pos[0], alone.quat[0], alone.half_size[0], BIN_TILT)
    assert shortage(view, 0, usual) > SHORT
    assert shortage(view, 0, cramped_grasp(view, 0)) == 0.0


def test_a_jaw_does_not_close_on_the_brick_behind(env, expert):
    state = in_tray(env, 0, 1, (0.005, 0.052), 2.0, -np.pi / 2)
    brick = int(state.half_size[:, 1].argmin())
    grasp = cramped_grasp(ArmView(1, env.robot_state(), state, expert), brick)
    # Its neighbour stands against its studs, so the jaw closes across the other axis.
    assert grasp.width == pytest.approx(2 * state.half_size[brick, 0])


def test_a_soft_hand_that_rests_short_of_its_grasp_closes(expert):
    found = read_left_states(FIXTURE)
    env = BlockDismantlingEnv(**{**found.env_kwargs, "observation": "state"})
    begin_in(env, found.states[BESIDE_A_TRAY])
    assert GRASP_TOLERANCE < BLOCKED_GRASP
    assert play(env, expert, 300)["success"]


def test_a_hand_waits_below_one_that_leaves_with_a_brick(env, expert):
    env.reset_scene(0)
    robot, state = env.robot_state(), env.privileged()
    pos = robot.tool_pos.copy()
    pos[0], pos[1] = [0.0, 0.05, 0.14], [0.02, 0.0, 0.19]
    robot = replace(robot, tool_pos=pos)
    apart = np.zeros((2, 2), dtype=bool)
    for target, waits in ((1, True), (0, False)):
        seen = replace(state, joined=apart, gripped=np.array([-1, 1]), target=np.array([0, target]))
        view = ArmView(0, robot, seen, expert)
        assert view.below_leaving() == waits
        goal = arm_goal(view, Job("take", 0))
        assert np.allclose(goal.pos, view.stay[0]) == waits


def test_a_pair_that_leans_beside_a_wall_is_carried_to_where_two_hands_fit(env):
    env.reset_scene(0)
    env.advance(env.robot_state().command)
    state = env.privileged()
    # As they lay for half an episode: the one hand held a brick, the other one met the wall.
    side = np.array([0.696, 0.696, 0.122, 0.122])
    pair = {
        "pos": env.bins[1][None] + np.array([[-0.137, 0.089], [-0.130, 0.071]]),
        "quat": np.stack([side, side]),
        "half_size": np.array([[0.0158, 0.0158, 0.0094]] * 2),
        "target": np.array([1, 1]),
    }
    pair["pos"] = np.column_stack([pair["pos"][:, :2], [0.016, 0.016]])
    beside = replace(state, **pair)
    planner = BlockPlanner(any_way_up=True)
    assert boxed(beside, [0, 1]) == 1
    assert [job.kind for job in planner.jobs(beside)] == ["rest", "pick"]
    free = replace(beside, pos=beside.pos - [0.08, 0.0, 0.0])
    assert boxed(free, [0, 1]) == -1
    assert {job.kind for job in planner.jobs(free)} == {"take", "hold"}


def test_a_hand_that_has_slipped_along_its_pair_to_the_other_brick_takes_it_anew(env, expert):
    env.reset_scene(0)
    env.set_down([0, 1], np.zeros(2), 0.0, np.pi / 2)
    env.advance(env.robot_state().command)
    state, robot = env.privileged(), env.robot_state()
    pair = BlockPlanner(any_way_up=True).jobs(state)
    arm = next(a for a in range(2) if pair[a].kind == "hold")
    brick = pair[arm].brick
    state = replace(state, gripped=np.where(np.arange(2) == arm, brick, -1))
    grasp = ArmView(arm, robot, state, expert).stacked(brick)
    jaws = np.full(2, grasp.closed_jaw)
    stack = state.pos[1 - brick] - state.pos[brick]
    for shift, kept in ((0.0, True), (1.25, False)):
        tools, turns = robot.tool_pos.copy(), robot.tool_quat.copy()
        tools[arm], turns[arm] = grasp.pos + shift * stack, grasp.quat
        values = robot.__dict__ | {"tool_pos": tools, "tool_quat": turns, "jaw": jaws}
        goal = arm_goal(ArmView(arm, type(robot)(**values), state, expert), pair[arm])
        assert (goal.jaw == 0.0) == kept
