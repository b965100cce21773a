"""Questions about towel folding, answered from grounding values."""

from __future__ import annotations

import numpy as np

from envs.towel_folding.folds import DIRECTIONS
from policies.scripted.towel.plan import JOB_KINDS
from policies.supervision.labels import GOAL_SCALE
from policies.supervision.towel_labels import CORNERS
from policies.supervision.vqa import (
    YES_NO,
    ask_change,
    ask_job,
    ask_point,
    ask_side,
    choose,
    seen_points,
    way_of,
    what_happened,
)
from xr0_sim.conventions import ARMS
from xr0_sim.model.auxiliary.vqa import Question, Values

WORDS = {
    "count": ("How many corners lie inside the {view}?", "Count the corners in the {view}."),
    "relation": (
        "Is the {first} corner to the left of the {second} corner?",
        "Seen from you, does the {first} corner lie further left than the {second} one?",
    ),
    "holds": ("Does the {arm} hand hold the towel?", "Has the {arm} gripper got the towel?"),
    "folded": ("Is the towel folded?", "Has the fold been made?"),
    "job": ("What is the {arm} arm doing?", "Name the present job of the {arm} arm."),
    "fold": ("The task is: {task} Which way is the towel folded?", "Told to {task} which way?"),
}
"""Phrasings by kind of question."""


def towel_question(values: Values, instruction: str, rng: np.random.Generator) -> Question | None:
    """A random question about one frame; None where nothing is known for the kind drawn."""
    kind = choose(rng, ("point", *WORDS))
    corners = [corner for corner in CORNERS if f"{corner} at" in values]
    if kind == "point":
        return ask_point(rng, {corner: f"the {corner} corner" for corner in corners}, values)
    text, arm = choose(rng, WORDS[kind]), choose(rng, ARMS)
    if kind == "count":
        view, seen = seen_points(rng, corners, values)
        return Question(kind, text.format(view=view), str(len(seen))) if corners else None
    if kind == "relation":
        return ask_side(rng, text, corners, values)
    if kind == "job":
        return ask_job(text, arm, JOB_KINDS, values)
    if kind == "holds" and f"{arm} holds" in values:
        answer = YES_NO[bool(values[f"{arm} holds"][0] > 0.5)]
        return Question(kind, text.format(arm=arm), answer)
    if kind == "folded" and "folded" in values:
        return Question(kind, text, YES_NO[bool(values["folded"][0] > 0.5)])
    if kind == "fold" and "fold" in values:
        answer = list(DIRECTIONS)[int(values["fold"][0])]
        return Question(kind, text.format(task=instruction), answer)
    return None


def towel_change(before: Values, now: Values, rng: np.random.Generator) -> Question | None:
    """Asks what happened between two frames; None where that is unclear."""
    return ask_change(rng, _happened(before, now))


def _happened(before: Values, now: Values) -> str | None:
    held_before, held_now = (
        {arm: "the towel" if values[f"{arm} holds"][0] > 0.5 else None for arm in ARMS}
        for values in (before, now)
    )
    way = max(way_of(corner, before, now, GOAL_SCALE) for corner in CORNERS)
    return what_happened(held_before, held_now, {"the towel": way})
