"""Spreading a crumpled towel: which edge is taken, and the whole motion in closed loop."""

from dataclasses import replace

import numpy as np
import pytest

from envs.towel_folding.cloth import RADIUS, SIDE, rest_grid
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import CORNER_LIMIT, measure
from envs.towel_folding.state import TowelState
from policies.scripted.towel.expert import GRASP_JAW, RELEASE_JAW, TowelExpert
from policies.scripted.towel.plan import caught
from policies.scripted.towel.spread import SPREAD_LIMIT, Spread, is_spread
from xr0_sim.types import RobotState

GRID = 13
LAST = GRID - 1
CORNERS = {
    "near right": 0,
    "near left": LAST,
    "far right": GRID * LAST,
    "far left": GRID * GRID - 1,
}


def scene(points, held=(NOTHING, NOTHING), peak=(0.0, 0.0), lifts=(0, 0)):
    return TowelState(
        points=points,
        held=np.array(held),
        touched=np.zeros(2, bool),
        folds=(),
        done=0,
        failures=np.zeros(2, int),
        obstructed=False,
        peak=np.array(peak),
        lifts=np.array(lifts),
        spread=False,
    )


def tucked(name, length=0.10):
    """A flat towel with one corner folded under it."""
    flat = rest_grid(GRID)
    points = np.column_stack([flat, np.full(len(flat), RADIUS + 0.005)])
    outward = np.sign(flat[CORNERS[name]]) / np.sqrt(2)
    beyond = flat @ outward - (SIDE / np.sqrt(2) - length)
    under = beyond > 0
    points[under, :2] -= 2 * beyond[under, None] * outward
    points[under, 2] = RADIUS
    return points


def test_a_flat_towel_is_spread_and_a_tucked_one_is_not():
    flat = np.column_stack([rest_grid(GRID), np.full(GRID**2, RADIUS)])
    assert is_spread(scene(flat))
    assert not is_spread(scene(tucked("far left")))


def test_hands_that_have_just_taken_a_towel_lift_it_before_it_may_settle():
    held = (CORNERS["far left"], CORNERS["far right"])
    points = tucked("near left", 0.021)
    points[list(held), 2] = 0.017
    fit = measure(points, ())
    assert CORNER_LIMIT < fit.corner < SPREAD_LIMIT * CORNER_LIMIT + fit.height
    assert not is_spread(scene(points, held))
    assert is_spread(scene(points, held, peak=(0.34, 0.34)))  # what is laid down is let go


def test_a_hand_that_comes_down_to_pinch_goes_on_when_it_touches():
    """It left at every touch, as if the towel had only to settle, and came again."""
    env = TowelFoldingEnv(observation="state", level="flatten")
    env.reset_scene(0)
    expert, robot = TowelExpert(env.kinematics), env.robot_state()
    points = tucked("near left", 0.021)
    points[CORNERS["far left"], 2] = 0.028
    state = replace(scene(points), touched=np.array([False, True]))
    for told, job in ((GRASP_JAW, "grasp"), (RELEASE_JAW, "leave")):
        command = robot.command.copy()
        command[-1] = told
        expert.goals(replace(robot, command=command, jaw=np.array([0.8, told])), state)
        assert expert.jobs[1].kind == job


@pytest.mark.parametrize("name", CORNERS)
def test_hands_take_an_edge_without_the_tucked_corner(name):
    spread = Spread.of(scene(tucked(name)))
    assert CORNERS[name] not in spread.corners
    left, right = (rest_grid(GRID)[corner] for corner in spread.corners)
    assert left[1] - right[1] == pytest.approx(SIDE)  # the left arm takes the left corner


def test_after_a_lift_that_was_no_help_something_else_comes_next():
    towel = tucked("near right", 0.20)
    ways = [Spread.of(scene(towel, lifts=(n, n))) for n in range(4)]
    assert [way.alone != NOTHING for way in ways] == [False, True, True, True]
    assert len({way.corners[way.alone] for way in ways[1:]}) == 3


def test_a_hand_on_its_way_stays_with_its_corner():
    points = np.column_stack([0.3 * rest_grid(GRID), np.full(GRID**2, 0.03)])
    corners = list(CORNERS.values())
    points[corners, 2] = RADIUS
    points[CORNERS["far left"]], points[CORNERS["far right"]] = [0.1, 0.01, 0], [0.1, -0.01, 0]
    tools = np.array([[0.1, 0.2, 0.1], [0.1, -0.2, 0.1]])
    for arm, name in ((0, "far left"), (1, "far right"), (1, "far left")):
        near = tools.copy()
        near[arm] = points[CORNERS[name]] + [0.0, 0.0, 0.03]
        spread = Spread.of(scene(points), near)
        assert (spread.alone, spread.corners[arm]) == (arm, CORNERS[name])


def test_any_edge_is_held_across_the_table_and_laid_down_along_it():
    turned = tucked("near right")
    turned[:, :2] = turned[:, :2] @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    for towel in (turned, tucked("near right")):
        spread = Spread.of(scene(towel))
        assert abs(spread.direction[0]) == 1.0 and spread.direction[1] == 0.0
        first, second = spread.corners
        assert towel[first, 1] - towel[second, 1] > 0.5 * SIDE


def test_a_held_corner_decides_the_edge():
    held = (CORNERS["near left"], NOTHING)
    spread = Spread.of(scene(tucked("near right"), held))
    assert spread.corners[0] == CORNERS["near left"]
    assert Spread.of(scene(tucked("near right"), (87, NOTHING))) is None  # beside the middle


def test_hands_rise_before_they_lay_down():
    held = (CORNERS["far left"], CORNERS["far right"])
    lying = scene(tucked("near right"), held)
    spread = Spread.of(lying)
    assert spread.goal(lying, 0)[2] > 0.3
    been_up = scene(lying.points, held, peak=(0.34, 0.34))
    assert spread.goal(been_up, 0)[2] < 0.05
    np.testing.assert_array_equal(spread.direction, [1.0, 0.0])


def test_one_hand_goes_alone_where_no_edge_has_two_free_corners():
    points = np.column_stack([0.2 * rest_grid(GRID), np.full(GRID**2, 0.03)])
    corners = list(CORNERS.values())
    points[corners, 2] = RADIUS
    points[CORNERS["far left"]] = [0.08, 0.08, RADIUS]  # sticks out of the heap
    spread = Spread.of(scene(points))
    assert (spread.alone, spread.corners[0]) == (0, CORNERS["far left"])


def test_a_hand_alone_lifts_then_lays_out_to_its_own_side():
    held = (NOTHING, CORNERS["far right"])
    points = np.column_stack([rest_grid(GRID), np.full(GRID**2, RADIUS)])
    lying = scene(points, held)
    spread = Spread.of(lying)
    assert spread.goal_alone(lying, 1)[2] > 0.3
    heights = []
    for y in (0.0, -0.1, -0.2):
        moved = points.copy()
        moved[held[1], 1] = y
        goal = spread.goal_alone(scene(moved, held, peak=(0.0, 0.34)), 1)
        assert goal[1] < y
        heights.append(goal[2])
    assert heights == sorted(heights, reverse=True)


def test_a_high_fold_of_a_heap_has_not_come_up_with_the_hand_beside_it():
    env = TowelFoldingEnv(observation="state", level="flatten")
    env.reset_scene(0)
    robot = env.robot_state()
    heap = np.column_stack([rest_grid(GRID), np.full(GRID**2, 0.04)])
    heap[84] = robot.tool_pos[0] - [0.0, 0.0, robot.tool_pos[0, 2] - 0.07]
    values = {"tool_pos": robot.tool_pos * [1, 1, 0] + [0, 0, 0.08], "jaw": np.full(2, 0.3)}
    low = RobotState(**(robot.__dict__ | values))
    touched = np.array([True, False])
    assert not caught(low, replace(scene(heap), touched=touched), 0)
    flat = heap.copy()
    flat[:84, 2] = flat[85:, 2] = RADIUS
    assert caught(low, replace(scene(flat), touched=touched), 0)


def test_a_hand_that_is_held_up_beside_its_grasp_closes_all_the_same(monkeypatch):
    env = TowelFoldingEnv(observation="state", level="flatten")
    env.reset_scene(0)
    expert, robot, state = TowelExpert(env.kinematics), env.robot_state(), scene(tucked("far left"))
    for _ in range(3):
        goals = expert.goals(robot, state)
        values = {"tool_pos": [g.pos for g in goals], "tool_quat": [g.quat for g in goals]}
        values = {name: np.array(value) for name, value in values.items()}
        robot = replace(robot, **values, jaw=np.full(2, 0.4))
    arm = next(a for a in range(2) if expert.jobs[a].kind == "grasp")
    assert expert.goals(robot, state)[arm].jaw < 0.1
    beside = replace(robot, tool_pos=robot.tool_pos + np.array([0.005, 0.005, 0.004]))
    for speed, closes in ((0.05, False), (0.0, True)):
        monkeypatch.setattr(expert, "velocity", lambda *_, v=speed: np.array([v, 0.0, 0.0]))
        assert (expert.goals(beside, state)[arm].jaw < 0.1) == closes


def test_a_free_hand_at_the_ends_of_its_joints_first_takes_up_its_resting_posture():
    env = TowelFoldingEnv(observation="state", level="flatten")
    env.reset_scene(0)
    expert, state = TowelExpert(env.kinematics), scene(tucked("near right"))
    robot = env.robot_state()
    assert all(goal.joints is None for goal in expert.goals(robot, state))
    # The posture in which a hand that had lost a lifted towel stayed for the rest of the episode.
    wound = robot.joint_pos.copy()
    wound[1] = [0.0, 0.8, -1.0, 0.0, 2.0, -0.9]
    tools, turns = env.kinematics.forward(wound)
    values = {"joint_pos": wound, "tool_pos": tools, "tool_quat": turns}
    goals = expert.goals(RobotState(**(robot.__dict__ | values)), state)
    assert expert.jobs[1].kind == "grasp"
    np.testing.assert_array_equal(goals[1].joints, expert.home_posture)


@pytest.mark.parametrize("seed", [0, 6])
def test_crumpled_towels_are_not_flat_to_begin_with(seed):
    env = TowelFoldingEnv(observation="state", level="flatten")
    env.reset_scene(seed)
    assert not measure(env.points, ()).good(0)


def test_two_hands_spread_a_towel():
    env = TowelFoldingEnv(observation="state", level="flatten", grasp="assist", world="0.1")
    expert = TowelExpert(env.kinematics)
    env.reset_scene(4)
    heights = []
    for _ in range(400):
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        heights.append(env.points[:, 2].max())
        if done:
            break
    assert info["success"] and max(heights) > 0.3
