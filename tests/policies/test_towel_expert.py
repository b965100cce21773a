"""How the towel expert comes down on an edge: no step a policy would have to guess."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from envs.towel_folding.env import TowelFoldingEnv
from policies.scripted.towel import edge_grasp
from policies.scripted.towel.expert import (
    CLOSING_HEIGHT,
    CLOSING_RATE,
    FUNNEL_SLOPE,
    GRASP_JAW,
    HOLD_HEIGHT,
    HOVER,
    TowelExpert,
)
from policies.scripted.towel.fold_view import FoldView
from policies.scripted.towel.plan import Job
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.types import RobotState


@pytest.fixture(scope="module")
def scene():
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(0, {"folds": ["toward"]})
    return env, TowelExpert(env.kinematics)


def moved(robot, shift, jaw, told=None):
    """The same robot with both tools moved by (3,) [m] and both jaws at an opening."""
    command = robot.command.copy()
    if told is not None:
        command[6::7] = told
    values = dict(robot.__dict__) | {
        "tool_pos": robot.tool_pos + shift,
        "jaw": np.full(2, jaw),
        "command": command,
    }
    return RobotState(**values)


def at_grasp(env, expert):
    """The robot with both tools exactly where they should close."""
    robot, state = env.robot_state(), env.privileged()
    for _ in range(3):
        goals = expert.goals(robot, state)
        values = dict(robot.__dict__) | {
            "tool_pos": np.array([g.pos for g in goals]),
            "tool_quat": np.array([g.quat for g in goals]),
            "jaw": np.full(2, 0.4),
        }
        robot = RobotState(**values)
    return robot, state


def test_hands_in_place_close_and_hands_beside_it_rise(scene):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    begun = GRASP_JAW - CLOSING_RATE / CONTROL_HZ
    assert [g.jaw for g in expert.goals(robot, state)] == pytest.approx([begun, begun])
    aside = expert.goals(moved(robot, np.array([0.03, 0.0, 0.0]), 0.4), state)
    for goal, tool in zip(aside, robot.tool_pos, strict=True):
        assert goal.jaw > 0.3 and 0.02 < goal.pos[2] - tool[2] <= HOVER + 1e-9


@pytest.mark.parametrize("way", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], ids=["across", "along"])
def test_a_hand_beside_its_grasp_goes_sideways_above_the_cloth(scene, way):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    for goal, tool in zip(
        expert.goals(moved(robot, 0.02 * np.array(way), 0.4), state), robot.tool_pos, strict=True
    ):
        assert goal.pos[2] - tool[2] > 0.02


@pytest.mark.parametrize("way", [(1.0, 0.0, 0.0), (0.0, -1.0, 0.0)], ids=["across", "along"])
def test_a_hand_that_touches_the_towel_beside_its_grasp_goes_straight_up(scene, way):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    robot = moved(robot, 0.02 * np.array(way), 0.4)
    touching = replace(state, touched=np.array([True, False]))
    (left, right), tools = expert.goals(robot, touching), robot.tool_pos
    assert left.pos == pytest.approx(tools[0] + np.array([0.0, 0.0, HOVER]))
    assert np.linalg.norm(right.pos[:2] - tools[1, :2]) == pytest.approx(0.02)


@pytest.mark.parametrize("way", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], ids=["across", "along"])
def test_the_way_down_has_no_steps(scene, way):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    shifts = np.arange(0.0, 0.05, 0.0005)
    heights = [
        [g.pos[2] for g in expert.goals(moved(robot, s * np.array(way), 0.4), state)]
        for s in shifts
    ]
    for before, after in itertools.pairwise(np.array(heights)):
        assert np.all(after - before >= -1e-9)
        assert np.all(after - before <= FUNNEL_SLOPE * 0.0005 + 1e-9)


def test_a_shut_hand_opens_above_the_cloth(scene):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    heights = [
        expert.goals(moved(robot, np.zeros(3), jaw), state)[0].pos[2]
        for jaw in np.linspace(0.4, 0.1, 31)
    ]
    assert heights[0] == pytest.approx(robot.tool_pos[0, 2])
    assert heights[-1] > heights[0] + 0.02
    assert np.abs(np.diff(heights)).max() < 0.004


def test_low_hands_close_slowly_and_high_ones_open(scene):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    for told in (0.3, 0.2, 0.1):
        low = expert.goals(moved(robot, np.zeros(3), told, told), state)
        up = np.array([0.0, 0.0, CLOSING_HEIGHT + 0.001])
        high = expert.goals(moved(robot, up, told, told), state)
        assert [g.jaw for g in low] == pytest.approx([told - CLOSING_RATE / CONTROL_HZ] * 2)
        assert [g.jaw for g in high] == [GRASP_JAW, GRASP_JAW]


def test_a_hand_that_has_missed_rises_shut(scene):
    env, expert = scene
    robot, state = at_grasp(env, expert)
    commanded = expert.commanded(robot)
    for goal, (pos, _) in zip(
        expert.goals(moved(robot, np.zeros(3), 0.005, 0.0), state), commanded, strict=True
    ):
        assert goal.jaw == 0.0 and goal.pos[2] == pytest.approx(pos[2] + HOVER)


@pytest.mark.parametrize("drift", [-0.01, 0.0, 0.02])
def test_a_hand_that_waits_with_its_corner_comes_back_to_one_height(scene, drift, monkeypatch):
    env, expert = scene
    robot, state = env.robot_state(), env.privileged()
    places = [
        (np.array([*pos[:2], HOLD_HEIGHT + drift]), quat) for pos, quat in expert.commanded(robot)
    ]
    monkeypatch.setattr(expert, "commanded", lambda _: places)
    monkeypatch.setattr(expert._planner, "jobs", lambda *_: (Job("hold", 0), Job("hold", 0)))
    for goal, (pos, _) in zip(expert.goals(robot, state), places, strict=True):
        assert goal.pos == pytest.approx([*pos[:2], HOLD_HEIGHT]) and goal.jaw == 0.0


@pytest.mark.parametrize(("material", "inset"), [("soft", 0.020), ("layered", 0.025)])
@pytest.mark.parametrize("fold", ["toward", "away"])
def test_a_hand_takes_layered_cloth_at_a_mass_point_so_that_no_pad_pierces_it(
    material, inset, fold
):
    env = TowelFoldingEnv(observation="state", material=material)
    env.reset_scene(0, {"folds": [fold]})
    expert, state = TowelExpert(env.kinematics), env.privileged()
    view = FoldView.of(state)
    for goal, pair in zip(expert.goals(env.robot_state(), state), view.pairs, strict=True):
        corner = state.points[pair[0], :2]
        gap = goal.pos[:2] - corner
        along = gap - (gap @ view.direction) * view.direction
        assert np.linalg.norm(along) == pytest.approx(inset, abs=0.002)


@pytest.mark.parametrize("misread_mm", [-6.0, 3.0])
def test_a_pinch_holds_although_the_edge_is_read_a_few_millimetres_off(misread_mm, monkeypatch):
    place = edge_grasp.OVERLAP_AT_POINTS + misread_mm / 1000.0
    monkeypatch.setattr(edge_grasp, "OVERLAP_AT_POINTS", place)
    env = TowelFoldingEnv(observation="state")
    env.reset(seed=3800)
    expert, done, info = TowelExpert(env.kinematics), False, {}
    while not done and env.tick < 7 * CONTROL_HZ:
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
    assert done and info["success"]
