"""The whole protocol of towel folding: out of a heap, onto the spot, one towel after another."""

import numpy as np
import pytest

from envs.robot.kinematics import home_joints
from envs.towel_folding import continuous as supply
from envs.towel_folding.cloth import rest_grid
from envs.towel_folding.disturbances import SPOT
from envs.towel_folding.env import SPOT_RADIUS, TowelFoldingEnv
from envs.towel_folding.folds import measure
from envs.towel_folding.state import TowelState
from envs.towel_folding.vertex_order import Naming
from policies.scripted.towel.expert import TowelExpert
from xr0_sim.errors import ConfigError

GRID = 13


def ways():
    """The eight ways a square towel can lie: names of its points, (8, grid²)."""
    plain = np.arange(GRID * GRID).reshape(GRID, GRID)
    sides = (plain, plain[:, ::-1])
    return [np.rot90(side, turns).ravel() for side in sides for turns in range(4)]


@pytest.mark.parametrize("way", range(8))
def test_a_flat_towel_is_named_as_if_it_had_started_so(way):
    points = np.empty((GRID * GRID, 3))
    order = ways()[way]
    turn = np.array([[0.9, -0.43], [0.43, 0.9]])
    points[order] = np.column_stack([rest_grid(GRID) @ turn.T + [0.03, -0.02], np.zeros(GRID**2)])
    naming = Naming.seen_from_above(points)
    assert np.array_equal(naming.order, order)
    assert naming.name(int(order[7])) == 7 and naming.name(-1) == -1


SEEDS = (6, 5, 4, 7)
"""Scenes of which the expert solves most; which ones depends on the last bit of a sum, and so on
the processor."""


@pytest.fixture(scope="module")
def whole():
    """A scene that the expert has solved, and the phases it went through."""
    for seed in SEEDS:
        found = play_whole(seed)
        if found[1]["success"]:
            break
    return found


def play_whole(seed):
    env = TowelFoldingEnv(level="full", observation="state")
    expert = TowelExpert(env.kinematics)
    env.reset_scene(seed, {})
    start = env.snapshot()
    phases, bound, info = set(), None, {}
    for _ in range(1200):
        was_spread = env.privileged().spread
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        phases |= set(expert.phase)
        if env.privileged().spread and not was_spread:
            bound = measure(env.points, ()), env.points.copy()
        if done:
            break
    return env, info, phases, bound, start


def test_the_expert_spreads_folds_twice_and_slides_the_towel_to_the_spot(whole):
    env, info, phases, _, _ = whole
    assert info["success"] and info["made"] == 2 and info["progress"] == 1.0
    assert {"spread", "carry", "slide"} <= phases
    assert np.linalg.norm(env.points[:, :2].mean(axis=0) - SPOT) < SPOT_RADIUS


def test_directions_are_bound_when_the_towel_lies_flat(whole):
    fit, points = whole[3]
    assert fit.good(0)
    middle = points[:, :2] - points[:, :2].mean(axis=0)
    rest = rest_grid(GRID)
    for axis in range(2):
        assert np.corrcoef(middle[:, axis], rest[:, axis])[0, 1] > 0.9


def test_a_snapshot_takes_the_names_back(whole):
    env, _, _, _, start = whole
    end = env.snapshot()
    env.restore(start)
    state = env.privileged()
    assert not state.spread and state.to_place and state.done == 0
    assert np.array_equal(env.points, env._towel.bodies(env.data))
    back = TowelState.from_vector(state.to_vector())
    assert (back.spread, back.to_place) == (False, True)
    env.restore(end)
    assert env.privileged().spread and env.privileged().done == 2


def test_a_folded_towel_elsewhere_is_not_done(whole):
    env = whole[0]
    end = env.snapshot()
    env.displace(np.array([0.09, 0.0]), 0.0)
    for _ in range(20):
        _, done, _, info = env.advance(env.robot_state().command)
    assert not done and not info["success"] and info["progress"] < 1.0
    env.restore(end)


def test_towels_keep_coming_and_are_counted():
    env = TowelFoldingEnv(continuous=True, observation="state", material="soft")
    expert = TowelExpert(env.kinematics)
    env.reset_scene(4, {})
    instructions, info = {env.instruction}, {}
    for _ in range(900):
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        instructions.add(env.instruction)
        assert not done
        if info["towels"][0] == 2:
            break
    assert info["towels"] == (2, 0) and info["success"] and len(instructions) > 1


def test_a_towel_that_takes_too_long_is_exchanged_and_missed(monkeypatch):
    monkeypatch.setattr(supply, "CUT_OFF_S", 1.0)
    env = TowelFoldingEnv(continuous=True, observation="state", material="soft")
    env.reset_scene(1, {})
    reach = env.robot_state().command + 0.2
    for _ in range(29):
        env.advance(reach)
    before = env.points
    _, done, _, info = env.advance(reach)
    assert info["towels"] == (0, 1) and not info["success"] and not done
    assert np.abs(env.points - before).max() > 0.005
    assert np.allclose(env.robot_state().joint_pos, home_joints())
    assert np.array_equal(env.robot_state().command, env._resting_command())
    assert measure(env.points, ()).good(0)


def test_a_run_goes_on_or_it_does_not():
    with pytest.raises(ConfigError, match="expected true or false, got 'no'"):
        TowelFoldingEnv(continuous="no")
