"""The scripted expert of block dismantling, alone and as a Gymnasium policy."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs import ENV_IDS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.robot.actions import JOINT_HIGH, JOINT_LOW, from_unit, limit_step, max_change
from envs.robot.protective_stop import HOLD_S, READ_S, ProtectiveStop
from policies import ScriptedPolicy
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.blocks.plan import JOB_KINDS
from policies.scripted.blocks.rims import RIM_CLEARANCE, over_rims
from policies.scripted.blocks.view import ArmView
from policies.scripted.grasping import NARROW_MARGINS, loose_grasp
from policies.scripted.motion import ToolGoal
from xr0_sim.errors import ConfigError
from xr0_sim.rotations import quat_from_rotvec, quat_multiply

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


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_two_bricks_are_sorted_within_the_limits(env, seed):
    commands, jobs, _, info = solve(env, seed)
    assert info["success"] and info["bricks"] == ("sorted",) * 2
    assert (commands >= JOINT_LOW - ROUNDING).all() and (commands <= JOINT_HIGH + ROUNDING).all()
    assert (np.abs(np.diff(commands, axis=0)) <= max_change() + ROUNDING).all()
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
    undisturbed, _, _, _ = solve(env, 4)
    commands, _, fired, info = solve(env, 4, {"events": ["shove"]})
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
    observation, _ = gym_env.reset(seed=6)
    state, start, jumps, last = "kept", True, [], None
    for _ in range(MAX_TICKS):
        action, state = policy.predict(observation, state, np.array([start]), deterministic=True)
        assert gym_env.action_space.contains(action) and state == "kept"
        target = from_unit(action)
        jumps += [] if last is None else [np.abs(target - last) / max_change()]
        observation, _, terminated, truncated, info = gym_env.step(action)
        start, last = False, target
        if terminated or truncated:
            break
    assert terminated and info["is_success"]
    # Observations and actions are float32 here.
    assert np.max(jumps) < 1 + 1e-4


def test_stacked_observations_are_answered_row_by_row(gym_env):
    policy = ScriptedPolicy()
    rows = []
    for seed in (0, 1):
        row = gym_env.reset(seed=seed)[0]
        for _ in range(10):  # the first commands of all scenes are alike
            row = gym_env.step(policy.predict(row)[0])[0]
        rows.append(row)
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


def test_a_hand_opens_only_as_far_as_a_wall_allows():
    brick = np.zeros(3), np.array([1.0, 0, 0, 0]), np.array([0.016, 0.016, 0.0095])

    def wall(at):
        return lambda point: float(at - np.abs(point).max())

    free = loose_grasp(0, *brick, margins=NARROW_MARGINS)
    beside = loose_grasp(0, *brick, clearance=wall(0.049), margins=NARROW_MARGINS)
    assert free.margin == NARROW_MARGINS[0] > beside.margin > NARROW_MARGINS[-1]
    assert beside.open_jaw < free.open_jaw
    assert loose_grasp(0, *brick, clearance=wall(0.049)).margin == NARROW_MARGINS[0]


def test_an_arm_in_a_wound_up_posture_goes_home(env):
    env.reset_scene(0)
    expert, robot, state = BlockExpert(env.kinematics), env.robot_state(), env.privileged()
    assert all(goal.joints is None for goal in expert.goals(robot, state))
    joints = robot.joint_pos.copy()
    joints[0, 0] = -2.0
    left, right = expert.goals(replace(robot, joint_pos=joints), state)
    assert (left.joints == expert.home_posture).all() and right.joints is None


def test_a_hand_goes_over_the_wall_of_a_tray(env):
    env.reset_scene(0)
    expert, robot, state = BlockExpert(env.kinematics), env.robot_state(), env.privileged()
    pos = robot.tool_pos.copy()
    pos[0] = [*state.bins[0], 0.02]
    view = ArmView(0, replace(robot, tool_pos=pos), state, expert)
    inside, outside = (
        ToolGoal(pos[0] + np.array([0.0, dy, 0.0]), pos[0], 0.8, 0.4) for dy in (-0.03, -0.2)
    )
    assert over_rims(view, inside) is inside
    up = over_rims(view, outside)
    assert (up.pos[:2] == pos[0, :2]).all() and up.pos[2] > RIM_CLEARANCE
    pos[0, 2] = RIM_CLEARANCE + 0.01
    over = over_rims(ArmView(0, replace(robot, tool_pos=pos), state, expert), outside)
    assert (over.pos[:2] == outside.pos[:2]).all() and over.pos[2] > RIM_CLEARANCE


def test_a_wrist_that_would_have_to_spin_does_not_throw_the_tool_off_its_way(env):
    kinematics, step = env.kinematics, 0.07
    seed = np.tile([0.0, -0.3, 1.0, 0.9, 0.02, -0.9], (2, 1))
    pos, quat = kinematics.forward(seed)
    goal = pos + np.array([0.0, 0.0, 0.01])
    turned = quat_multiply(quat_from_rotvec(np.tile([0.0, 0.0, 0.09], (2, 1))), quat)
    free = kinematics.inverse(seed, goal, turned, 1)
    bounded = kinematics.inverse(seed, goal, turned, 1, step)
    assert np.abs(free - seed).max() > 2 * step
    assert np.abs(bounded - seed).max() <= step + ROUNDING
    clipped = seed + np.clip(free - seed, -step, step)
    miss = [
        np.linalg.norm(kinematics.forward(joints)[0] - goal, axis=1).max()
        for joints in (bounded, clipped)
    ]
    assert miss[0] < 0.5 * miss[1]


@pytest.mark.parametrize(("forces", "steps"), [([300.0], 9), ([45.0] * 5, 9), ([45.0] * 4, None)])
def test_the_protective_stop_misses_no_force_that_lasts(env, monkeypatch, forces, steps):
    env.reset_scene(0)
    assert env.model.opt.timestep == pytest.approx(HOLD_S / 6)
    data = SimpleNamespace(efc_force=np.array([900.0, *forces]), ne=1, nf=0, nl=0)
    stop = ProtectiveStop(env.model)
    monkeypatch.setattr(stop, "_strongest", lambda data: (1, float(data.efc_force[1:].sum())))
    stopped = [stop.check(data) or bool(stop.reason) for _ in range(12)]
    assert (stopped.index(True) + 1 if any(stopped) else None) == steps


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize(("lasts", "stopped"), [(6, False), (9, True)])
def test_a_knock_is_no_reason_to_stop_whenever_it_comes(env, monkeypatch, first, lasts, stopped):
    env.reset_scene(0)
    stop = ProtectiveStop(env.model)
    monkeypatch.setattr(stop, "_strongest", lambda data: (1, float(data.efc_force.sum())))
    for step in range(24):
        force = 300.0 * (first <= step < first + lasts)
        stop.check(SimpleNamespace(efc_force=np.array([force]), ne=0, nf=0, nl=0))
    assert bool(stop.reason) == stopped


def test_the_stop_reads_on_from_tick_to_tick(env, monkeypatch):
    env.reset_scene(0)
    stop, steps, read = env._stop, [], env._stop.read
    step_s = env.model.opt.timestep

    def noted(data):
        steps.append(round(data.time / step_s))
        return read(data)

    monkeypatch.setattr(stop, "read", noted)
    resting = env._resting_command()
    for _ in range(2):
        env.advance(resting)
    every, steps_in_all = round(READ_S / step_s), 2 * env.substeps
    assert steps_in_all % every
    assert steps == list(range(every, steps_in_all + 1, every))
    assert stop.snapshot() == (steps_in_all % every, 0, "")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [303, 404])
def test_ten_bricks_are_sorted(seed):
    env = BlockDismantlingEnv(n_bricks=10, observation="state")
    expert, info = BlockExpert(env.kinematics), {}
    env.reset_scene(seed)
    for _ in range(2500):
        _, done, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
        if done:
            break
    assert info["success"], info["protective_stop"]
