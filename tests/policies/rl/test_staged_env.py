"""The stages: spaces, determinism, what counts as success, and whether the expert can do them."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.block_dismantling.state import NO_BRICK
from policies.rl.decisions import DECISION_DIM, STEP, decision_of, tool_goals
from policies.rl.features import FEATURE_DIM
from policies.rl.staged_env import StagedBlocks
from policies.rl.stages import STAGES, WEIGHTS, reward
from xr0_sim.errors import ConfigError

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
        assert moved == pytest.approx(STEP * np.linalg.norm(part[:3]))


def test_a_far_goal_is_a_step_in_its_direction(env):
    env.reset(seed=SEED)
    hands = env.situation.hands
    goals = env.controller.expert.goals(env.situation.robot, env.situation.state)
    step = decision_of(goals, hands).reshape(2, 4)[:, :3]
    assert np.abs(step).max(axis=1) == pytest.approx(1.0)
    assert hands[0].brick != hands[1].brick and NO_BRICK not in (hands[0].brick, hands[1].brick)


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
