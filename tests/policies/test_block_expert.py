"""The scripted expert of block dismantling, alone and as a Gymnasium policy."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs import ENV_IDS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.robot.actions import JOINT_HIGH, JOINT_LOW, MAX_CHANGE, from_unit, limit_step
from policies import ScriptedPolicy
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.blocks.plan import JOB_KINDS
from xr0_sim.errors import ConfigError

ROUNDING = 1e-9
MAX_TICKS = 450


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


@pytest.fixture(scope="module")
def gym_env():
    return gymnasium.make(ENV_IDS["block_dismantling"], n_bricks=2, observation="state")


def solve(env, seed, options=None, tempo=1.0):
    """Commands (ticks + 1, 14), jobs of every tick, events and the last info."""
    expert = BlockExpert(env.kinematics)
    env.reset_scene(seed, options)
    commands, jobs, fired, info = [env.robot_state().command], [], [], {}
    for _ in range(MAX_TICKS):
        robot = env.robot_state()
        action = expert.action(robot, env.privileged(), tempo)
        assert np.abs(limit_step(action, robot.command) - action).max() <= ROUNDING
        jobs.append(expert.phase)
        commands.append(action)
        _, terminated, _, info = env.advance(action)
        fired += info["events"]
        if terminated:
            break
    return np.array(commands), jobs, fired, info


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_two_bricks_are_sorted_within_the_limits(env, seed):
    commands, jobs, _, info = solve(env, seed)
    assert info["success"] and info["bricks"] == ("sorted",) * 2
    assert (commands >= JOINT_LOW - ROUNDING).all() and (commands <= JOINT_HIGH + ROUNDING).all()
    assert (np.abs(np.diff(commands, axis=0)) <= MAX_CHANGE + ROUNDING).all()
    kinds = {kind for pair in jobs for kind in pair}
    assert {"take", "hold", "pull", "deliver"} <= kinds <= set(JOB_KINDS)
    assert all(len(pair) == 2 for pair in jobs)


def test_a_hand_holds_while_the_other_pulls(env):
    _, jobs, _, _ = solve(env, 0)
    pulls = [pair for pair in jobs if "pull" in pair]
    assert pulls and all(set(pair) == {"pull", "hold"} for pair in pulls)


def test_three_bricks_are_sorted():
    _, _, _, info = solve(BlockDismantlingEnv(n_bricks=3, observation="state"), 0)
    assert info["success"] and info["bricks"] == ("sorted",) * 3


def test_it_plans_anew_after_a_shove(env):
    undisturbed, _, _, _ = solve(env, 3)
    commands, _, fired, info = solve(env, 3, {"events": ["shove"]})
    assert [event.kind for event in fired] == ["shove"] and info["success"]
    at = fired[0].tick
    # Row k + 1 is the command of tick k; the event is seen from the tick after it on.
    assert np.array_equal(commands[: at + 2], undisturbed[: at + 2])
    assert not np.allclose(commands[at + 2 : at + 20], undisturbed[at + 2 : at + 20], atol=1e-3)


def test_it_has_no_memory(env):
    env.reset_scene(1)
    old = BlockExpert(env.kinematics)
    for _ in range(40):
        action = old.action(env.robot_state(), env.privileged())
        fresh = BlockExpert(env.kinematics).action(env.robot_state(), env.privileged())
        assert np.array_equal(action, fresh)
        env.advance(action)


def test_a_lower_tempo_takes_longer(env):
    quick, slow = (solve(env, 0, tempo=tempo) for tempo in (1.0, 0.6))
    assert slow[3]["success"] and len(slow[0]) > 1.15 * len(quick[0])


def test_the_policy_solves_an_episode_through_step(gym_env):
    policy = ScriptedPolicy()
    observation, _ = gym_env.reset(seed=5)
    state, start, jumps, last = "kept", True, [], None
    for _ in range(MAX_TICKS):
        action, state = policy.predict(observation, state, np.array([start]), deterministic=True)
        assert gym_env.action_space.contains(action) and state == "kept"
        target = from_unit(action)
        jumps += [] if last is None else [np.abs(target - last) / MAX_CHANGE]
        observation, _, terminated, truncated, info = gym_env.step(action)
        start, last = False, target
        if terminated or truncated:
            break
    assert terminated and info["is_success"]
    # Observations and actions are float32 here.
    assert np.max(jumps) < 1 + 1e-4


def test_stacked_observations_are_answered_row_by_row(gym_env):
    policy = ScriptedPolicy()
    rows = [gym_env.reset(seed=seed)[0] for seed in (0, 1)]
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    actions, state = policy.predict(stacked)
    assert actions.shape == (2, 14) and actions.dtype == np.float32 and state is None
    assert np.array_equal(actions, [policy.predict(row)[0] for row in rows])
    assert not np.array_equal(actions[0], actions[1])


def test_an_observation_without_ground_truth_is_refused():
    with pytest.raises(ConfigError, match="make the environment with observation='state'"):
        ScriptedPolicy().predict({"proprio": np.zeros(54)})
    with pytest.raises(ConfigError, match="no brick count gives 37 entries"):
        ScriptedPolicy().predict({"proprio": np.zeros(54), "privileged": np.zeros(37)})
