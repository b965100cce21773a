"""Questions about block dismantling, answered from grounding values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bricks import COLOURS
from policies.scripted.blocks.plan import JOB_KINDS
from policies.supervision.labels import GOAL_SCALE
from policies.supervision.vqa import (
    YES_NO,
    ask_change,
    ask_job,
    ask_point,
    ask_side,
    choose,
    say_point,
    seen_points,
    way_of,
    what_happened,
)
from xr0_sim.conventions import ARMS
from xr0_sim.model.auxiliary.vqa import Question, Values

WORDS = {
    "colour": (
        "What color is the brick at {place} in the {view}?",
        "Name the brick at {place} in the {view}.",
    ),
    "count": (
        "How many of these bricks can be seen in the {view}: {things}?",
        "Of the bricks {things}, how many are in the {view}?",
    ),
    "relation": (
        "Is the {first} brick to the left of the {second} brick?",
        "Seen from you, does the {first} brick lie further left than the {second} one?",
    ),
    "holds": ("What does the {arm} hand hold?", "What is in the {arm} gripper?"),
    "joined": ("Are bricks still stuck together?", "Is anything left to take apart?"),
    "job": ("What is the {arm} arm doing?", "Name the present job of the {arm} arm."),
    "bin": (
        "The task is: {task} Into which bin does the {first} brick go?",
        "Told to {task} where do you put the {first} brick?",
    ),
}
"""Phrasings by kind of question."""


def block_question(values: Values, instruction: str, rng: np.random.Generator) -> Question | None:
    """A random question about one frame; None where nothing is known for the kind drawn."""
    kind = choose(rng, ("point", *WORDS))
    bricks = [colour for colour in COLOURS if f"{colour} at" in values]
    if kind == "point":
        return ask_point(rng, {colour: f"the {colour} brick" for colour in bricks}, values)
    text = choose(rng, WORDS[kind])
    arm = choose(rng, ARMS)
    if kind in ("colour", "count"):
        return _looking(kind, text, bricks, values, rng)
    if kind == "relation":
        return ask_side(rng, text, bricks, values)
    if kind == "job":
        return ask_job(text, arm, JOB_KINDS, values)
    if kind == "holds" and f"{arm} holds" in values:
        held = int(values[f"{arm} holds"][0])
        answer = "nothing" if held == 0 else f"the {list(COLOURS)[held - 1]} brick"
        return Question(kind, text.format(arm=arm), answer)
    if kind == "joined" and "clutched" in values:
        return Question(kind, text, YES_NO[bool(values["clutched"][0] > 0.5)])
    if kind == "bin" and bricks:
        first = choose(rng, bricks)
        if f"{first} goes to" in values:
            side = ("left", "right")[int(values[f"{first} goes to"][0])]
            return Question(kind, text.format(task=instruction, first=first), side)
    return None


def _looking(
    kind: str, text: str, bricks: list[str], values: Values, rng: np.random.Generator
) -> Question | None:
    """Questions about what one picture shows."""
    view, seen = seen_points(rng, bricks, values)
    if kind == "count":
        if not bricks:
            return None
        return Question(kind, text.format(view=view, things=", ".join(bricks)), str(len(seen)))
    apart = {name: at for name, at in seen.items() if _alone(name, seen)}
    if not apart:
        return None
    name = choose(rng, tuple(apart))
    return Question(kind, text.format(place=say_point(apart[name]), view=view), name)


def _alone(name: str, seen: dict[str, NDArray[np.float64]]) -> bool:
    """Whether no other brick is so near in the picture that the place could mean both."""
    return all(
        np.linalg.norm(seen[name] - at) > 0.08 for other, at in seen.items() if other != name
    )


def block_change(before: Values, now: Values, rng: np.random.Generator) -> Question | None:
    """Asks what happened between two frames; None where that is unclear."""
    return ask_change(rng, _happened(before, now))


def _happened(before: Values, now: Values) -> str | None:
    if before["clutched"][0] > 0.5 > now["clutched"][0]:
        return "the bricks came apart"
    held_before, held_now = (
        {arm: _brick(int(values[f"{arm} holds"][0])) for arm in ARMS} for values in (before, now)
    )
    ways = {
        f"the {colour} brick": way_of(colour, before, now, GOAL_SCALE)
        for colour in COLOURS
        if f"{colour} at" in now
    }
    return what_happened(held_before, held_now, ways)


def _brick(held: int) -> str | None:
    return None if held == 0 else f"the {list(COLOURS)[held - 1]} brick"
