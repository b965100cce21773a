"""Grounding labels of towel folding: what is where, and what the expert intends."""

import numpy as np
import pytest

from envs.tasks import SHIPPED
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import DIRECTIONS, corners
from envs.towel_folding.instructions import ONCE
from policies.scripted.towel.expert import TowelExpert
from policies.supervision.labels import GOAL_SCALE
from policies.supervision.table import lesson
from policies.supervision.towel_labels import (
    CORNERS,
    towel_grounding,
    towel_grounding_spec,
    towel_sentence,
)
from policies.supervision.towel_rearrangement import scatter_towel
from xr0_sim.conventions import ARMS

SPEC = towel_grounding_spec()
SLOTS = SPEC.slots()


@pytest.fixture(scope="module")
def env():
    return TowelFoldingEnv(observation="state")


@pytest.fixture(scope="module")
def expert(env):
    return TowelExpert(env.kinematics)


def labels(env, expert):
    """Name -> value, for what is not masked."""
    vector, mask = towel_grounding(env, expert, SPEC)
    return {name: vector[at] for name, at in SLOTS.items() if mask[at].all()}


@pytest.mark.parametrize("task", SHIPPED)
def test_every_lesson_is_complete(task):
    taught = lesson(task)
    assert taught.spec().width > 0 and taught.events
    text, meaning = taught.sentence(np.random.default_rng(0))
    names = [name for name, _ in taught.spec().classes]
    assert text and meaning and set(meaning) <= set(names)


def test_corners_are_where_their_names_say(env, expert):
    env.reset_scene(0)
    found = labels(env, expert)
    at = {name: found[f"{name} at"] * GOAL_SCALE for name in CORNERS}
    assert at["far left"][0] > at["near left"][0] and at["far right"][0] > at["near right"][0]
    assert at["far left"][1] > at["far right"][1] and at["near left"][1] > at["near right"][1]


@pytest.mark.parametrize("direction", ["away", "toward"])
def test_hands_are_told_their_corners_and_the_fold(env, expert, direction):
    env.reset_scene(1, {"folds": direction})
    found = labels(env, expert)
    assert int(found["fold"][0]) == list(DIRECTIONS).index(direction)
    pairs = corners(env.cloth.grid, env.folds[0])
    robot = env.robot_state()
    for a, arm in enumerate(ARMS):
        offset = np.arctanh(found[f"{arm} corner from tool"].astype(float)) * 0.1
        gap = env.points[pairs[a, 0]] - robot.tool_pos[a]
        assert np.linalg.norm(offset) == pytest.approx(np.linalg.norm(gap), rel=0.02)
        assert int(found[f"{arm} holds"][0]) == 0


def test_a_hand_that_holds_is_said_to(env, expert):
    env.reset_scene(2)
    while expert.phase != ("carry", "carry"):
        env.advance(expert.action(env.robot_state(), env.privileged()))
    found = labels(env, expert)
    assert all(int(found[f"{arm} holds"][0]) == 1 for arm in ARMS)


def test_sentences_mean_what_they_say():
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(60):
        text, meaning = towel_sentence(rng)
        (direction,) = [name for name, texts in ONCE.items() if text in texts]
        assert meaning == {"fold": list(DIRECTIONS).index(direction)}
        seen.add(direction)
    assert seen == {"away", "toward"}


def test_scattering_moves_the_towel_and_leaves_the_episode_alone(env, expert):
    env.reset_scene(4)
    before, folds = env.points.copy(), env.folds
    rng = np.random.default_rng(0)
    moved = []
    for _ in range(6):
        with env.rehearsal():
            assert scatter_towel(env, rng)
            moved.append((np.linalg.norm(env.points - before, axis=1).mean(), env.folds))
    assert np.array_equal(env.points, before) and env.folds == folds
    assert max(gap for gap, _ in moved) > 0.02
    assert {other for _, other in moved} != {folds}
