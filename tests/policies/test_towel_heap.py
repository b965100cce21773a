"""What hands do at a heap: whose turn it is, when they let be, and how they pass over it."""

from dataclasses import replace

import numpy as np
import pytest

from envs.towel_folding.cloth import RADIUS, SIDE, rest_grid
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.grasp_record import MISSED_JAW
from envs.towel_folding.state import TowelState
from policies.scripted.grasping import hand_quat
from policies.scripted.towel.corners import corner_cost, flat_places, folded_corner
from policies.scripted.towel.edge_grasp import TIP_BELOW_TOOL
from policies.scripted.towel.expert import RELEASE_JAW, TowelExpert
from policies.scripted.towel.over_heap import leaning_back
from policies.scripted.towel.plan import TowelPlanner
from policies.scripted.towel.spread import Spread, holds_or_free, is_spread
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.rotations import quat_rotate

GRID = 13
NEAR_RIGHT, NEAR_LEFT, FAR_RIGHT, FAR_LEFT = 0, GRID - 1, GRID * (GRID - 1), GRID * GRID - 1
FREE = (NOTHING, NOTHING)


def scene(points, **values):
    defaults = {
        "held": np.array(FREE),
        "touched": np.zeros(2, bool),
        "failures": np.zeros(2, int),
        "peak": np.zeros(2),
        "lifts": np.zeros(2, int),
    }
    values = {name: np.array(value) for name, value in values.items()}
    state = {"points": points, "folds": (), "done": 0, "obstructed": False, "spread": False}
    return TowelState(**(state | defaults | values))


def flat(turn=0.0, shift=(0.0, 0.0)):
    cos, sin = np.cos(turn), np.sin(turn)
    places = rest_grid(GRID) @ np.array([[cos, sin], [-sin, cos]]) + shift
    return np.column_stack([places, np.full(GRID**2, RADIUS)])


def folded_over(corner, length=0.08, height=0.02):
    """A flat towel with a corner folded over, on top of it; under it where the height is less."""
    points, rest = flat(), rest_grid(GRID)
    outward = np.sign(rest[corner]) / np.sqrt(2)
    beyond = rest @ outward - (SIDE / np.sqrt(2) - length)
    points[:, 2] = 0.01
    points[beyond > 0, :2] -= 2 * beyond[beyond > 0, None] * outward
    points[beyond > 0, 2] = height
    return points


def heap(height=0.10):
    points = flat()
    points[:, :2] *= 0.4
    points[:, 2] = RADIUS
    points[np.linalg.norm(rest_grid(GRID), axis=1) < 0.08, 2] = height
    return points


@pytest.fixture(scope="module")
def hands():
    env = TowelFoldingEnv(observation="state", level="flatten")
    env.reset_scene(0)
    return env.robot_state(), TowelExpert(env.kinematics)


def told(robot, arm, jaw, command, **values):
    commands, jaws = robot.command.copy(), robot.jaw.copy()
    commands[(arm + 1) * ARM_ACTION_DIM - 1], jaws[arm] = command, jaw
    return replace(robot, command=commands, jaw=jaws, **values)


def moved(robot, arm, pos):
    tools = robot.tool_pos.copy()
    tools[arm] = pos
    return replace(robot, tool_pos=tools)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_flat_towel_is_told_its_places_whichever_side_is_up_and_with_a_corner_folded(side):
    points = folded_over(FAR_LEFT)
    points[:, 1] *= side
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + [0.05, -0.03]
    places = flat_places(scene(turned))
    expected = (rest_grid(GRID) * [1.0, side]) @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    expected += np.array([0.05, -0.03])
    np.testing.assert_allclose(places, expected, atol=0.006)


def test_the_corner_that_is_folded_over_is_taken_to_its_place_alone_where_two_hands_were_no_help():
    assert Spread.of(scene(folded_over(FAR_LEFT))).alone == NOTHING
    state = scene(folded_over(FAR_LEFT), lifts=(1, 1))
    assert folded_corner(state, flat_places(state), None) == FAR_LEFT
    spread = Spread.of(state)
    assert (spread.alone, spread.corners[0]) == (0, FAR_LEFT)
    held = scene(state.points, held=(FAR_LEFT, NOTHING), peak=(0.02, 0.0), lifts=(1, 1))
    goal = Spread.of(held).goal_alone(held, 0)
    np.testing.assert_allclose(goal[:2], [SIDE / 2, SIDE / 2], atol=0.008)
    assert 0.03 < goal[2] < 0.08
    arrived = flat()
    arrived[FAR_LEFT, 2] = 0.02
    there = scene(arrived, held=(FAR_LEFT, NOTHING), peak=(0.07, 0.0), lifts=(2, 1))
    assert Spread.of(held).laid_alone(there, 0)
    assert not Spread.of(held).laid_alone(held, 0)


def test_a_hand_that_is_left_alone_over_a_nearly_flat_towel_lays_its_corner_in_its_place():
    held = (NOTHING, FAR_RIGHT)
    points = flat()
    just_pinched = Spread.of(scene(points, held=held, peak=(0.0, 0.02)))
    assert just_pinched.places is None and just_pinched.alone == NOTHING
    points[FAR_RIGHT] = [0.08, -0.12, 0.12]
    state = scene(points, held=held, peak=(0.0, 0.34))
    goal = Spread.of(state).goal_alone(state, 1)
    np.testing.assert_allclose(goal[:2], [SIDE / 2, -SIDE / 2], atol=0.005)


def test_a_tucked_corner_a_heap_and_a_flat_towel_have_no_corner_to_unfold():
    for points in (folded_over(FAR_LEFT, height=RADIUS), heap(), flat(0.4)):
        spread = Spread.of(scene(points, lifts=(1, 1)))
        assert spread.places is None


def test_a_towel_that_is_flat_but_for_a_tucked_corner_is_lifted_by_two_hands_however_often():
    points = folded_over(FAR_LEFT, height=RADIUS)
    for lifts in range(6):
        spread = Spread.of(scene(points, lifts=(lifts, lifts)))
        assert spread.alone == NOTHING and FAR_LEFT not in spread.corners


def test_how_a_corner_lies_has_no_steps():
    points = folded_over(FAR_LEFT)
    for column, values in ((2, np.linspace(0.0, 0.03, 61)), (0, np.linspace(0.0, 0.15, 301))):
        costs = []
        for value in values:
            points[FAR_LEFT, column] = value
            costs.append(corner_cost(scene(points), FAR_LEFT))
        assert np.ptp(costs) >= 1.0
        assert np.abs(np.diff(costs)).max() < 0.35


def test_no_hand_goes_for_a_corner_far_on_the_other_side():
    for y, alone in ((0.0, False), (0.30, True)):
        state = scene(flat(shift=(0.0, y)))
        assert (Spread.of(state).alone != NOTHING) == alone


def test_a_jaw_that_shuts_passes_the_opening_of_hands_that_leave(hands):
    robot, expert = hands
    points = flat()
    points[FAR_LEFT, :2] -= 0.02
    points[FAR_LEFT, 2] = 0.04
    state = scene(points, touched=(True, False))
    assert is_spread(state) and not is_spread(state, closing=True)
    for jaw, kind in ((0.36, "grasp"), (RELEASE_JAW, "leave")):
        expert.goals(told(robot, 0, jaw, RELEASE_JAW), state)
        assert expert.jobs[0].kind == kind


def test_a_hand_that_opens_does_not_pinch_again_what_it_has_just_let_go(hands):
    robot, _ = hands
    planner, state = TowelPlanner(0.2), scene(heap(), touched=(True, False))
    spread = Spread.of(state)
    alone = Spread(spread.edge, spread.corners, alone=0)
    for command, kind in ((0.25, "leave"), (0.0, "grasp")):
        jobs = planner.spreading(told(robot, 0, 0.10, command), state, alone)
        assert jobs[0].kind == kind


def test_a_hand_that_holds_alone_waits_until_the_other_arm_is_out_of_its_way(hands):
    robot, _ = hands
    state = scene(heap(), held=(FAR_LEFT, NOTHING), touched=(True, False))
    spread = Spread.of(state)
    alone = Spread(spread.edge, (FAR_LEFT, NEAR_LEFT), alone=0)
    robot = told(robot, 0, 0.05, 0.0)
    for pos, kind in (([0.0, 0.05, 0.03], "hold"), ([0.0, -0.2, 0.03], "spread")):
        jobs = TowelPlanner(0.2).spreading(moved(robot, 1, pos), state, alone)
        assert jobs[0].kind == kind


def test_hands_pass_over_a_heap_and_rise_first_where_they_touch_it(hands):
    robot, expert = hands
    points = heap(0.10)
    points[FAR_LEFT] = [0.12, 0.02, RADIUS]
    robot = told(moved(robot, 0, [-0.10, 0.02, 0.11]), 0, 0.4, 0.4)
    for touches in (False, True):
        state = scene(points, touched=(touches, False))
        spread = Spread.of(state, robot.tool_pos)
        assert (spread.alone, spread.corners[0]) == (0, FAR_LEFT)
        goal = expert.goals(robot, state)[0]
        assert goal.pos[2] > 0.12
        assert (goal.pos[0] > 0.05) == (not touches)


def test_a_shut_hand_at_a_heap_rises_until_it_holds_or_has_missed(hands):
    robot, expert = hands
    points = heap()
    points[FAR_LEFT] = [0.12, 0.04, RADIUS]
    for _ in range(3):
        robot = moved(robot, 0, expert.goals(robot, scene(points))[0].pos)
    risen = [*robot.tool_pos[0, :2], TIP_BELOW_TOOL + 0.03]
    state = scene(points, touched=(True, False))
    for jaw, shut in ((0.10, True), (0.5 * MISSED_JAW, False)):
        closing = told(moved(robot, 0, risen), 0, jaw, 0.0)
        goal = expert.goals(closing, state)[0]
        assert expert.jobs[0].kind == "grasp"
        assert (goal.jaw == 0.0) == shut


def test_a_lifting_hand_leans_away_from_its_base_only_where_its_wrist_ends():
    upright = hand_quat(np.array([-1.0, 0.0]), np.pi / 2)
    for wrist, lean in ((1.9, 0.0), (2.1, 0.1)):
        joints = np.array([0.0, 0.0, 0.0, 0.0, wrist, 0.0])
        quat = leaning_back(0, np.array([0.0, 0.1, 0.3]), upright, joints)
        approach = quat_rotate(quat, np.array([1.0, 0.0, 0.0]))
        # The left arm stands at y = +0.47 m.
        assert np.arctan2(-approach[1], -approach[2]) == pytest.approx(lean, abs=1e-9)


def test_an_edge_that_comes_off_the_table_again_on_the_way_over_is_laid_down():
    points = flat()
    points[:, 2] = 0.05
    held = (FAR_LEFT, FAR_RIGHT)
    for ahead, height in ((0.0, 0.32), (0.2, 0.2)):
        points[:, 0] = -0.2 + ahead * (rest_grid(GRID)[:, 0] / SIDE + 0.5)
        points[list(held), 2] = height
        state = scene(points, held=held, peak=(0.34, 0.34))
        goal = Spread.of(state).goal(state, 0)
        assert goal[2] < height
        assert (goal[0] > points[FAR_LEFT, 0]) == (ahead > 0.0)


def test_a_hand_that_touches_a_towel_it_leaves_slips_out_across_the_edge(hands):
    robot, expert = hands
    robot = told(moved(robot, 0, [0.1, 0.1, 0.03]), 0, RELEASE_JAW, RELEASE_JAW)
    for touches in (False, True):
        state = scene(flat(), touched=(touches, True), untouched=0)
        start = expert.commanded(robot)[0][0]
        goal = expert.goals(robot, state)[0]
        outward = (goal.pos[:2] - start[:2]) @ [1.0, 1.0] > 0.02
        assert (expert.jobs[0].kind == "leave") == touches
        assert outward == touches or not touches


def test_of_two_folded_corners_a_hand_keeps_to_its_own_and_a_narrow_strip_is_left_to_two():
    points = folded_over(FAR_LEFT)
    other = folded_over(NEAR_RIGHT)[:, :2]
    moved_too = np.linalg.norm(other - flat()[:, :2], axis=1) > 1e-9
    points[moved_too] = folded_over(NEAR_RIGHT)[moved_too]
    state = scene(points)
    for corner in (FAR_LEFT, NEAR_RIGHT):
        tools = np.array([points[corner], [0.0, 0.5, 0.2]])
        assert folded_corner(state, flat_places(state), tools) == corner
    narrow = scene(folded_over(FAR_LEFT, length=0.02), lifts=(1, 1))
    assert Spread.of(narrow).places is None


def test_who_pinches_two_layers_holds_the_corner_among_them():
    points = heap()
    points[:, :2] += 0.1
    points[FAR_LEFT] = [0.0, 0.05, 0.006]
    points[84] = [0.004, 0.05, 0.012]
    for held, holds in ((84, True), (85, False)):
        assert holds_or_free(scene(points, held=(held, NOTHING)), 0, FAR_LEFT) == holds
