"""What the towel expert does with a fold that has gone wrong, and with a towel out of reach."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from envs.towel_folding.cloth import RADIUS, SIDE, rest_grid
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import MIRROR_LIMIT
from policies.scripted.towel.expert import HANG_BACK, HOLD_HEIGHT, LOOKAHEAD, TowelExpert
from policies.scripted.towel.fold_view import FoldView
from policies.scripted.towel.jaws import RELEASE_JAW
from policies.scripted.towel.plan import HUNG, IN_REACH, OUT_OF_REACH
from xr0_sim.conventions import ARM_ACTION_DIM, CONTROL_HZ

GRID = 13
ROW = SIDE / (GRID - 1)
FOLDED_SEEDS = (4000, 4005)
"""Scenes in which an edge that was carried a row too far is put right; in some it is not (log)."""


def misfolded(seed, rows):
    """A towel folded with its crease some rows beside its line, and its environment."""
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(seed)
    state, rest = env.privileged(), rest_grid(GRID)
    (fold,) = state.folds
    centre = state.points[:, :2].mean(axis=0)
    left, _, right = np.linalg.svd((state.points[:, :2] - centre).T @ rest)
    places, crease = rest.copy(), fold.sign * ROW * rows
    over = rest[:, fold.axis] * fold.sign > ROW * rows + 1e-6
    places[over, fold.axis] = 2 * crease - rest[over, fold.axis]
    height = np.where(over, 3 * RADIUS, RADIUS)
    env._towel.place(env.data, np.column_stack([places @ (left @ right).T + centre, height]))
    mujoco.mj_forward(env.model, env.data)
    for _ in range(CONTROL_HZ // 2):
        env.advance(env.robot_state().command)
    return env


@pytest.fixture(scope="module")
def too_far():
    env = misfolded(4000, -1)
    return env.robot_state(), env.privileged(), TowelExpert(env.kinematics)


def jobs(expert, robot, state):
    expert.goals(robot, state)
    return expert.phase


def shut(robot, *arms):
    """The same robot with jaws that hold something."""
    jaw, command = robot.jaw.copy(), robot.command.copy()
    for arm in arms:
        jaw[arm], command[(arm + 1) * ARM_ACTION_DIM - 1] = 0.05, 0.0
    return replace(robot, jaw=jaw, command=command)


def holding(state, *arms, peak=0.0):
    view = FoldView.of(state)
    held, peaks = np.full(2, NOTHING), np.zeros(2)
    for arm in arms:
        held[arm], peaks[arm] = view.pair(arm)[0], peak
    return replace(state, held=held, peak=peaks)


@pytest.mark.parametrize("seed", FOLDED_SEEDS)
def test_a_fold_beside_its_line_is_made_anew(seed):
    env = misfolded(seed, -1)
    view = FoldView.of(env.privileged())
    assert view.mirror_gap(env.privileged()) > MIRROR_LIMIT
    assert view.to_go(env.privileged(), view.pair(0)[0]) == pytest.approx(-2 * ROW, abs=0.01)
    expert, done, info = TowelExpert(env.kinematics), False, {}
    while not done and env.tick < 10 * CONTROL_HZ:
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
    assert done and info["success"]


def test_two_hands_put_a_fold_right_and_the_first_one_waits_there(too_far):
    robot, state, expert = too_far
    assert jobs(expert, robot, state) == ("grasp", "grasp")
    assert jobs(expert, shut(robot, 0), holding(state, 0)) == ("hold", "grasp")
    assert jobs(expert, shut(robot, 0, 1), holding(state, 0, 1)) == ("carry", "carry")


def test_an_edge_beside_its_line_is_lifted_before_it_is_laid_down(too_far):
    robot, state, expert = too_far
    robot, direction = shut(robot, 0, 1), FoldView.of(state).direction
    flat = expert.goals(robot, holding(state, 0, 1))
    hung = expert.goals(robot, holding(state, 0, 1, peak=HUNG + 0.01))
    for low, high in zip(hung, flat, strict=True):
        assert high.pos[2] > low.pos[2] + 0.08
        assert (high.pos - low.pos)[:2] @ direction < -0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_an_ordinary_fold_is_lifted_in_time_and_goes_on(seed):
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(seed)
    expert, carried, done = TowelExpert(env.kinematics), 0, False
    while not done and env.tick < 6 * CONTROL_HZ:
        robot, state = env.robot_state(), env.privileged()
        action = expert.action(robot, state)
        view = FoldView.of(state)
        if expert.phase == ("carry", "carry"):
            carried += 1
            to_go = max(view.to_go(state, int(point)) for point in state.held)
            assert to_go > HANG_BACK + LOOKAHEAD or (state.peak > HUNG).all()
        _, done, _, _ = env.advance(action)
    assert done and carried > CONTROL_HZ


def test_corners_in_their_places_do_not_hide_a_crease_beside_its_line(too_far):
    robot, state, expert = too_far
    view, points = FoldView.of(state), state.points.copy()
    for arm in range(2):
        corner, target = view.pair(arm)
        points[corner, :2] = points[target, :2]
    assert jobs(expert, robot, replace(state, points=points)) == ("grasp", "grasp")


@pytest.mark.parametrize(
    ("jaw", "told", "job"),
    [(0.30, 0.25, "grasp"), (0.27, RELEASE_JAW, "leave"), (0.02, 0.0, "grasp")],
)
def test_a_hand_that_closes_over_the_landing_place_is_no_hand_that_lets_go(too_far, jaw, told, job):
    robot, state, expert = too_far
    tools = np.array([[*state.points[FoldView.of(state).pair(a)[0], :2], 0.01] for a in range(2)])
    command = robot.command.copy()
    command[ARM_ACTION_DIM - 1 :: ARM_ACTION_DIM] = told
    robot = replace(robot, tool_pos=tools, jaw=np.full(2, jaw), command=command)
    assert jobs(expert, robot, state) == (job, job)


def test_a_corner_that_hangs_on_an_open_hand_is_gripped_where_it_is(too_far):
    robot, state, expert = too_far
    points, (corner, _) = state.points.copy(), FoldView.of(state).pair(0)
    points[corner, 2] = 0.035
    tools = robot.tool_pos.copy()
    tools[0] = points[corner] + (0.0, 0.0, 0.01)
    robot = replace(robot, tool_pos=tools, jaw=np.full(2, 0.4))
    touched = np.array([True, False])
    goal, _ = expert.goals(robot, replace(state, points=points, touched=touched))
    stay = expert.commanded(robot)[0]
    assert goal.jaw == 0.0 and goal.pos == pytest.approx(stay[0])


@pytest.mark.parametrize("across", [0.0, 0.12, 0.20])
def test_the_hand_that_holds_draws_a_towel_over_that_the_other_one_does_not_reach(across):
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(2, {"folds": ["away"]})
    robot, state, expert = shut(env.robot_state(), 0), env.privileged(), TowelExpert(env.kinematics)
    corner, _ = FoldView.of(state).pair(1)
    points = state.points + np.array([0.0, across - state.points[corner, 1], 0.0])
    goal, _ = expert.goals(robot, holding(replace(state, points=points), 0))
    assert expert.phase == ("hold", "rest" if across > OUT_OF_REACH else "grasp")
    drawn = goal.pos[1] - expert.commanded(robot)[0][0][1]
    assert goal.pos[2] == HOLD_HEIGHT
    assert drawn == pytest.approx(-0.03 if across > IN_REACH else 0.0)
