"""What questions of all tasks share: places in pictures, sides, arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS
from xr0_sim.model.auxiliary.vqa import Question, Values

VIEWS = {"base": "base view", "left_wrist": "left-wrist view", "right_wrist": "right-wrist view"}
YES_NO = {True: "yes", False: "no"}
STEPS = 20
"""Places are told in steps of 1/20 of a picture's side, 0 at its left or upper edge."""
WHERE = (
    "Where is {thing} in the {view}?",
    "Point at {thing} in the {view}.",
    "Give the place of {thing} in the {view}.",
)
"""Phrasings of a pointing question."""
CHANGE = (
    "What has happened since the earlier picture?",
    "Compare the two pictures: what happened?",
)
"""Phrasings of a question about two base views, see `ask_change`."""
STILL_M, MOVED_M = 0.006, 0.02
"""Nothing happened below, and something was moved above that distance; between them is unclear."""


def choose(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of some words."""
    return options[int(rng.integers(len(options)))]


def say_point(point: NDArray[np.floating]) -> str:
    """A place in a picture, shares of its side, in words."""
    u, v = np.clip((np.asarray(point) * STEPS).astype(int), 0, STEPS - 1)
    return f"({u}, {v})"


def seen_points(
    rng: np.random.Generator, names: Sequence[str], values: Values
) -> tuple[str, dict[str, NDArray[np.float64]]]:
    """A random view in words, and which points its picture shows where."""
    camera = int(rng.integers(len(CAMERAS)))
    seen = {n: values[f"{n}@{camera}"] for n in names if f"{n}@{camera}" in values}
    return VIEWS[CAMERAS[camera]], seen


def ask_point(
    rng: np.random.Generator, things: Mapping[str, str], values: Values
) -> Question | None:
    """Asks where a thing is in a random view; ``out of view`` where it is not inside."""
    if not things:
        return None
    name = choose(rng, tuple(things))
    view, seen = seen_points(rng, (name,), values)
    text = choose(rng, WHERE).format(thing=things[name], view=view)
    return Question("point", text, say_point(seen[name]) if seen else "out of view")


def ask_side(
    rng: np.random.Generator, text: str, names: Sequence[str], values: Values
) -> Question | None:
    """Asks which of two things with known places lies further left, seen from the operator."""
    if len(names) < 2:
        return None
    first, second = (str(name) for name in rng.permutation(names)[:2])
    left = bool(values[f"{first} at"][1] > values[f"{second} at"][1])
    return Question("relation", text.format(first=first, second=second), YES_NO[left])


def ask_job(text: str, arm: str, kinds: Sequence[str], values: Values) -> Question | None:
    """Asks what an arm is doing; `kinds` are the expert's jobs in class order."""
    if f"{arm} job" not in values:
        return None
    job = kinds[int(values[f"{arm} job"][0])].replace("_", " ")
    return Question("job", text.format(arm=arm), job)


def ask_change(rng: np.random.Generator, answer: str | None) -> Question | None:
    """Asks what happened between an earlier base view and the present one."""
    return None if answer is None else Question("change", choose(rng, CHANGE), answer)


def what_happened(
    before: Mapping[str, str | None], now: Mapping[str, str | None], ways: Mapping[str, float]
) -> str | None:
    """What happened in words; None where that is unclear or takes more than one sentence.

    Args:
        before: What each arm held, by arm; None for nothing.
        now: The same, later.
        ways: How far each thing has moved [m].
    """
    hands = _grips_changed(before, now)
    if hands:
        return hands[0] if len(hands) == 1 else None
    if not ways or any(STILL_M <= way <= MOVED_M for way in ways.values()):
        return None
    moved = [thing for thing, way in ways.items() if way > MOVED_M]
    held = {thing for thing in now.values() if thing is not None}
    if not moved:
        return "nothing"
    if held and not held >= set(moved):
        return None
    verb = "carried" if held else "pushed"
    return f"{' and '.join(moved)} {'was' if len(moved) == 1 else 'were'} {verb}"


def _grips_changed(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    """Which hand took and let go of what, a sentence each; both hands in one if they agree."""
    told: dict[str, str] = {}
    for arm, thing in now.items():
        if thing != before[arm]:
            told[arm] = f"took {thing}" if thing is not None else f"let go of {before[arm]}"
    if len(told) == 2 and len(set(told.values())) == 1:
        return [f"both hands {next(iter(told.values()))}"]
    return [f"the {arm} hand {what}" for arm, what in told.items()]


def way_of(name: str, before: Values, now: Values, scale: float) -> float:
    """How far a thing has moved [m] whose place is the value ``NAME at``, in units of `scale`."""
    return scale * float(np.linalg.norm(now[f"{name} at"] - before[f"{name} at"]))
