"""The stages: spaces, determinism, what counts as success, and whether the expert can do them."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.block_dismantling.state import NO_BRICK
from policies.rl.aims import GRASP, IDLE, kept_jobs, pair_of
from policies.rl.decisions import DECISION_DIM, STEP, decision_of, tool_goals
from policies.rl.features import FEATURE_DIM
from policies.rl.staged_env import StagedBlocks
from policies.rl.stages import STAGES, WEIGHTS, reward
from xr0_sim.errors import ConfigError
from xr0_sim.rotations import quat_rotate

SEED = 70_000


@pytest.fixture(scope="module")
def env():
    made = StagedBlocks("separate")
    yield made
    made.close()


def play(env, seed, decide, limit=80):
    env.reset(seed=seed)
    seen = []
    for _ in range(limit):
        features, earned, terminated, truncated, info = env.step(decide(env))
        seen.append((features, earned, info))
        if terminated or truncated:
            break
    return seen


def expert(env):
    return env.controller.expert_decision(env.situation)


def teacher(env):
    return env.controller.advice(env.situation)


@pytest.mark.parametrize("checker", ["gymnasium", "sb3"])
def test_checkers_have_nothing_to_say(checker):
    from stable_baselines3.common.env_checker import check_env as check_sb3

    env = StagedBlocks("reach")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True) if checker == "gymnasium" else check_sb3(env)
    env.close()


def test_the_expert_takes_a_brick_off_and_passes_the_earlier_stages(env):
    seen = play(env, SEED, expert)
    last = seen[-1][2]
    assert last["is_success"] and last["stages"]["separate"]
    order = [
        next(k for k, (*_, info) in enumerate(seen) if info["stages"][stage])
        for stage in ("reach", "grasp", "separate")
    ]
    assert order == sorted(order)
    assert "attached" not in last["bricks"] and last["drops"] == 0
    # Ten times the growth of the potential, which ends at 1; a bonus; the time.
    total = sum(earned for _, earned, _ in seen)
    assert 5.0 < total + 0.05 * len(seen) <= 15.0 + 1e-6


def test_a_hand_that_does_nothing_gets_nowhere(env):
    seen = play(env, SEED, lambda env: np.zeros(DECISION_DIM), limit=10)
    assert not any(info["is_success"] for *_, info in seen)
    assert sum(earned for _, earned, _ in seen) < 0.5


def test_the_same_seed_gives_the_same_bits_also_in_a_copy(env):
    decide = np.random.default_rng(0).uniform(-1, 1, (6, DECISION_DIM))

    def trace(made):
        features, _ = made.reset(seed=SEED + 1)
        return np.concatenate([features, *(made.step(row)[0] for row in decide)]).tobytes()

    first = trace(env)
    assert trace(env) == first and trace(pickle.loads(pickle.dumps(env))) == first


def test_seeds_that_follow_each_other_begin_again():
    env = StagedBlocks("reach", first_seed=SEED, seeds=2)
    firsts = [env.reset()[0] for _ in range(3)]
    assert np.array_equal(firsts[0], firsts[2]) and not np.array_equal(firsts[0], firsts[1])
    env.rewind(1)
    assert np.array_equal(env.reset()[0], firsts[1])
    env.close()


def test_a_decision_says_what_it_was_made_of(env):
    features, _ = env.reset(seed=SEED)
    assert features.shape == (FEATURE_DIM,)
    hands = env.situation.hands
    decision = np.random.default_rng(1).uniform(-0.99, 0.99, DECISION_DIM)
    goals = tool_goals(decision, hands)
    again = decision_of(goals, hands).reshape(2, 4)
    assert np.allclose(again[:, :3], decision.reshape(2, 4)[:, :3], atol=1e-5)
    assert np.array_equal(again[:, 3], np.sign(decision[3::4]))
    for aim, part in zip(hands, decision.reshape(2, 4), strict=True):
        moved = np.linalg.norm(goals[aim.view.arm].pos - aim.view.stay[0])
        assert moved == pytest.approx(STEP * np.linalg.norm(part[:3] ** 2))


def test_a_far_goal_is_a_step_in_its_direction(env):
    env.reset(seed=SEED)
    hands = env.situation.hands
    goals = env.controller.expert.goals(env.situation.robot, env.situation.state)
    part = decision_of(goals, hands).reshape(2, 4)[:, :3]
    assert np.abs(part).max(axis=1) == pytest.approx(1.0)
    steps = [STEP * quat_rotate(a.quat, p * np.abs(p)) for a, p in zip(hands, part, strict=True)]
    for aim, step in zip(hands, steps, strict=True):
        way = goals[aim.view.arm].pos - aim.view.stay[0]
        assert np.allclose(np.cross(step, way), 0.0, atol=1e-6) and step @ way > 0
    assert hands[0].brick != hands[1].brick and NO_BRICK not in (hands[0].brick, hands[1].brick)


def test_small_decisions_hardly_move_a_hand_that_is_to_keep_still(env):
    env.reset(seed=SEED)
    goals = tool_goals(np.full(DECISION_DIM, 0.05), env.situation.hands)
    moved = [
        np.linalg.norm(goal.pos - env.situation.robot.tool_pos[a]) for a, goal in enumerate(goals)
    ]
    assert max(moved) < 0.001


@pytest.mark.parametrize("seed", range(SEED + 20, SEED + 24))
def test_the_teacher_takes_a_brick_off(env, seed):
    assert play(env, seed, teacher)[-1][2]["is_success"]


def test_bricks_knocked_apart_stay_the_goal_until_one_is_in_the_hand(env):
    env.reset(seed=SEED)
    state = env.situation.state
    pair = env.situation.pair
    apart = replace(state, joined=np.zeros_like(state.joined), pos=state.pos.copy())
    apart.pos[pair.brick] += [0.06, 0.0, 0.009 - state.pos[pair.brick, 2]]
    robot = env.situation.robot
    planned = env.controller.situation(robot, apart, pair)
    kept = env.controller.situation(robot, apart, pair, keeps=True)
    assert planned.pair == kept.pair == pair
    first, second = kept.hands
    assert (first.view.arm, first.kind, first.brick) == (pair.puller, GRASP, pair.brick)
    assert np.linalg.norm(first.pos - apart.pos[pair.brick]) < 0.03
    assert (second.kind, second.brick) == (IDLE, NO_BRICK)
    grips = apart.gripped.copy()
    grips[pair.puller] = pair.brick
    held = env.controller.situation(robot, replace(apart, gripped=grips), pair, keeps=True)
    step = env.controller.advice(held)
    lifted = env.controller.goals(held, step)[pair.puller].pos - held.hands[0].view.stay[0]
    assert lifted[2] > 0.02 and step[3] < 0
    assert kept.features().shape == (FEATURE_DIM,)


def test_a_joined_pair_stays_the_goal_where_the_plan_has_none(env):
    env.reset(seed=SEED)
    found = env.situation
    jobs = kept_jobs(found.state, found.pair)
    assert {jobs[found.pair.puller].kind, jobs[1 - found.pair.puller].kind} == {"take", "hold"}
    assert pair_of(jobs) == found.pair


def test_potentials_are_shares_and_waiting_costs():
    assert set(WEIGHTS) == set(STAGES)
    assert all(sum(weights.values()) == pytest.approx(1.0) for weights in WEIGHTS.values())
    assert reward(0.4, 0.4, False) < 0 < reward(0.4, 0.5, False) < reward(0.4, 0.5, True)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"stage": "sorting"}, "did you mean|expected"),
        ({"n_bricks": 1}, "2 or more"),
        ({"observation": "pixels"}, "leave it out"),
    ],
)
def test_what_does_not_exist_is_one_line(kwargs, words):
    with pytest.raises(ConfigError, match=words) as caught:
        StagedBlocks(**kwargs)
    assert "\n" not in str(caught.value)


def test_a_step_needs_a_reset_and_numbers(env):
    fresh = StagedBlocks("grasp")
    with pytest.raises(ConfigError, match="reset first"):
        fresh.step(np.zeros(DECISION_DIM))
    env.reset(seed=SEED)
    for bad in (np.zeros(3), np.full(DECISION_DIM, np.nan)):
        with pytest.raises(ConfigError, match="finite numbers"):
            env.step(bad)
    fresh.close()
