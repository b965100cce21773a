"""Questions of both tasks: every answer agrees with the scene."""

from collections import Counter

import numpy as np
import pytest

from experiments.catalog import make_env
from experiments.lessons import lesson
from policies.scripted.experts import make_expert
from policies.scripted.questions import STEPS, say_point

EXPECTED = {
    "block_dismantling": {"point", "colour", "count", "relation", "holds", "joined", "job", "bin"},
    "towel_folding": {"point", "count", "relation", "holds", "folded", "job", "fold"},
}

SEEDS = {"block_dismantling": 0, "towel_folding": 3}
"""Scenes in which every colour occurs once."""


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def asked(request):
    """Task, environment and 600 questions about one frame in the middle of an episode."""
    env = make_env(request.param, image_size=64)
    taught, expert = lesson(request.param), make_expert(env)
    env.reset_scene(SEEDS[request.param])
    for _ in range(60):
        env.advance(expert.action(env.robot_state(), env.privileged()))
    spec = taught.spec()
    values = spec.read(*taught.grounding(env, expert, spec))
    rng = np.random.default_rng(0)
    questions = [taught.question(values, env.instruction, rng) for _ in range(600)]
    return request.param, env, values, [q for q in questions if q is not None]


def test_every_kind_is_asked_in_several_words(asked):
    task, _, _, questions = asked
    kinds = Counter(q.kind for q in questions)
    assert set(kinds) == EXPECTED[task]
    for kind in kinds:
        assert len({q.text for q in questions if q.kind == kind}) >= 2


def test_one_question_has_one_answer(asked):
    *_, questions = asked
    answers = {}
    for q in questions:
        assert answers.setdefault((q.kind, q.text), q.answer) == q.answer
        assert q.answer and "{" not in q.text + q.answer


def test_points_are_where_the_grounding_has_them(asked):
    _, _, values, questions = asked
    views = ("base view", "left-wrist view", "right-wrist view")
    for q in (q for q in questions if q.kind == "point"):
        camera = next(i for i, view in enumerate(views) if view in q.text)
        names = [n for n in values if n.endswith(f"@{camera}") and f"the {n[:-2]} " in q.text]
        told = {say_point(values[n]) for n in names}
        assert q.answer in told if told else q.answer == "out of view"


def test_left_and_right_agree_with_the_table(asked):
    task, env, _, questions = asked
    points = env.privileged().points if task == "towel_folding" else None
    if points is None:
        places = {b.colour: env.privileged().pos[i] for i, b in enumerate(env.bricks)}
    else:
        n = env.cloth.grid
        ends = (0, n - 1, n * (n - 1), n * n - 1)
        names = ("near right", "near left", "far right", "far left")
        places = {name: points[i] for name, i in zip(names, ends, strict=True)}
    for q in (q for q in questions if q.kind == "relation"):
        order = sorted((n for n in places if n in q.text), key=q.text.index)
        assert q.answer == ("yes" if places[order[0]][1] > places[order[1]][1] else "no")


def test_places_stay_inside_the_picture():
    assert say_point(np.array([0.0, 0.999])) == f"(0, {STEPS - 1})"
    assert say_point(np.array([1.2, -0.3])) == f"({STEPS - 1}, 0)"
