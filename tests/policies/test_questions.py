"""Questions of both tasks: every answer agrees with the scene."""

from collections import Counter

import numpy as np
import pytest

from envs.tasks import make_env
from policies.scripted.experts import make_expert
from policies.supervision.table import lesson
from policies.supervision.vqa import MOVED_M, STEPS, STILL_M, say_point, what_happened

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
    questions = [taught.questions.frame(values, env.instruction, rng) for _ in range(600)]
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


def changes(task, happen):
    """What two frames about `happen` are said to show, and the environment."""
    env = make_env(task, image_size=64)
    taught, expert = lesson(task), make_expert(env)
    env.reset_scene(SEEDS[task])
    spec = taught.spec()

    def values():
        expert.action(env.robot_state(), env.privileged())
        return spec.read(*taught.grounding(env, expert, spec))

    def step():
        env.advance(expert.action(env.robot_state(), env.privileged()))

    rng = np.random.default_rng(0)
    told = []
    for ready in happen:
        before = values()
        ready(env, step)
        question = taught.questions.change(before, values(), rng)
        told.append(question and question.answer)
    return told


def wait(env, step):
    still = env.robot_state().command
    for _ in range(3):
        env.advance(still)


def until(held, arms=1):
    """Plays the expert until that many hands hold something, or none does any more."""

    def play(env, step):
        for _ in range(400):
            step()
            state = env.privileged()
            hands = state.held if hasattr(state, "held") else state.gripped
            if (sum(hand >= 0 for hand in hands) >= arms) == held:
                return

    return play


def test_what_happened_to_the_towel():
    def push(env, step):
        env.displace(np.array([0.0, 0.05]), 0.0)
        wait(env, step)

    def carry(env, step):
        for _ in range(15):
            step()

    happen = (wait, push, until(True, 2), carry, until(False))
    told = changes("towel_folding", happen)
    assert told[:2] == ["nothing", "the towel was pushed"]
    assert told[2] in ("both hands took the towel", "the right hand took the towel")
    assert told[3] == "the towel was carried" and "let go of the towel" in told[4]


def test_what_happened_to_the_bricks():
    def push(env, step):
        env.set_down([1], np.array([0.05, 0.1]), 0.0, 0.0)
        wait(env, step)

    told = changes("block_dismantling", (wait, until(True), until(False)))
    assert told[0] == "nothing" and " hand took the " in told[1]
    assert told[2] == "the bricks came apart" or " let go of the " in told[2]
    env = make_env("block_dismantling", image_size=64)
    env.reset_scene(SEEDS["block_dismantling"])
    colour = env.bricks[1].colour

    def open_clutches(env, step):
        env.open_clutches()
        wait(env, step)

    def push_again(env, step):
        env.set_down([1], np.array([0.05, 0.16]), 0.0, 0.0)
        wait(env, step)

    # No picture shows an open clutch while the bricks stand on each other.
    assert changes("block_dismantling", (open_clutches, push, push_again)) == [
        "nothing",
        "the bricks came apart",
        f"the {colour} brick was pushed",
    ]


def test_what_takes_two_sentences_or_is_in_doubt_is_not_asked():
    def told(left, right, ways):
        before, now = ({"left": left[k], "right": right[k]} for k in (0, 1))
        return what_happened(before, now, ways)

    nothing, far, near = (None, None), 2 * MOVED_M, STILL_M / 2
    assert told(nothing, nothing, {"it": near}) == "nothing"
    assert told(nothing, nothing, {"it": (MOVED_M + STILL_M) / 2}) is None
    assert told(nothing, nothing, {"a": far, "b": near, "c": far}) == "a and c were pushed"
    assert told(("a", "a"), nothing, {"a": far, "b": near}) == "a was carried"
    assert told(("a", "a"), nothing, {"a": far, "b": far}) is None
    assert told((None, "a"), (None, "a"), {"a": far}) == "both hands took a"
    assert told((None, "a"), ("b", None), {"a": far}) is None
    assert told(nothing, ("b", None), {}) == "the right hand let go of b"
