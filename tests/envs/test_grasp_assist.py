"""Grasp assist of towel folding: what ties and what unties."""

import numpy as np
import pytest

from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from policies.scripted.towel.expert import TowelExpert
from xr0_sim.errors import ConfigError


def ties(env):
    names = [env.model.equality(int(row)).name for row in np.flatnonzero(env.data.eq_active)]
    return [name for name in names if "/tie_" in name]


@pytest.fixture(scope="module")
def carrying():
    """An assisted scene in which two hands carry, and a snapshot of it."""
    env = TowelFoldingEnv(observation="state", grasp="assist")
    expert = TowelExpert(env.kinematics)
    env.reset_scene(0)
    for _ in range(200):
        _, _, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        if info["phase"] == "carry":
            break
    assert info["grasp"] == "assist" and len(ties(env)) == 2
    return env, expert, env.snapshot()


def test_without_assist_there_is_nothing_to_tie():
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(0)
    assert not any("/tie_" in env.model.equality(row).name for row in range(env.model.neq))
    assert env.advance(env.robot_state().command)[3]["grasp"] == "friction"
    with pytest.raises(ConfigError, match="grasp"):
        TowelFoldingEnv(grasp="glue")


def test_the_expert_folds_with_assist(carrying):
    env, expert, snapshot = carrying
    env.restore(snapshot)
    for _ in range(300):
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        if done:
            break
    assert info["success"] and len(ties(env)) == 0


def test_a_hand_that_is_told_to_open_unties(carrying):
    env, _, snapshot = carrying
    env.restore(snapshot)
    open_left = env.robot_state().command.copy()
    for _ in range(8):
        open_left[6] += 0.08
        env.advance(open_left)
    names = ties(env)
    assert len(names) == 1 and names[0].startswith("right/")
    assert env.privileged().held[0] == NOTHING != env.privileged().held[1]


def test_oiled_pads_untie(carrying):
    env, _, snapshot = carrying
    env.restore(snapshot)
    env.lose_grip(1, 0.5)
    env.advance(env.robot_state().command)
    names = ties(env)
    assert len(names) == 1 and names[0].startswith("left/")


def test_a_pull_beyond_the_gate_tears_a_tie(carrying):
    env, _, snapshot = carrying
    env.restore(snapshot)
    still = env.robot_state().command
    point = env.privileged().held[0]
    # The pads hold the point, too, by friction: of 12 N the tie bears 3.
    env.data.xfrc_applied[env.model.body(f"towel_{point}").id, 2] = 40.0
    for _ in range(3):
        env.advance(still)
    assert not any(name.startswith("left/") for name in ties(env))
    env.data.xfrc_applied[:] = 0.0
    env.advance(still)
    assert not any(
        name.startswith("left/") for name in ties(env)
    )  # a hand that has not opened in between does not tie again


def test_ties_are_part_of_a_snapshot(carrying):
    env, expert, snapshot = carrying
    ends = []
    for _ in range(2):
        env.restore(snapshot)
        for _ in range(20):
            env.advance(expert.action(env.robot_state(), env.privileged()))
        ends.append((env.points.copy(), ties(env)))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]
