"""Effects as sentences: what is resolved, what is not, and what it would take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.study.effects import Effect

ORDER = ("resolved", "uncorrected", "unresolved", "equal", "few")
HEADINGS = {
    "resolved": "Resolved",
    "uncorrected": "Resolved alone, not among all comparisons",
    "unresolved": "Not resolved",
    "equal": "Exactly equal",
    "few": "Too few pairs to say",
}
"""State -> heading, in the order they are told."""


def sentences(effects: Sequence[Effect]) -> list[str]:
    """One sentence an effect, the resolved first."""
    return [sentence(e) for e in sorted(effects, key=lambda effect: ORDER.index(effect.state))]


def sentence(effect: Effect) -> str:
    """For example ``success, latency: 0ms → 80ms: −8.3 points [−15.1, −1.6] over 60 seeds …``."""
    place = f" ({effect.within_text})" if effect.within_text else ""
    head = f"{effect.outcome.label}, {effect.contrast_text}{place}: "
    seeds = f"{effect.interval.n} seed{'s' * (effect.interval.n != 1)}"
    if effect.trainings > 1:
        seeds += f" and {effect.trainings} trainings"
    if effect.state == "equal":
        return f"{head}no difference in any of {effect.pairs} pairs."
    size = difference_text(effect)
    if effect.state == "few":
        return f"{head}{size} over {seeds}; too few for an interval."
    if effect.state == "resolved":
        word = {True: "better, ", False: "worse, ", None: ""}[effect.improvement]
        return f"{head}{size} over {seeds}; {word}resolved ({p_text(effect)})."
    wanted = needed_text(effect)
    if effect.state == "uncorrected":
        word = f"resolved alone, not among all comparisons ({p_text(effect)})"
        return f"{head}{size} over {seeds}; {word}; {wanted}."
    return f"{head}{size} over {seeds}; not resolved; {wanted}."


def difference_text(effect: Effect) -> str:
    """Difference with its interval in the shown unit."""
    outcome, found = effect.outcome, effect.interval
    value = outcome.shown(found.value, sign=True)
    if math.isnan(found.low):
        return value
    low, high = (outcome.shown(end, sign=True, unit=False) for end in (found.low, found.high))
    return f"{value} [{low}, {high}]"


def p_text(effect: Effect) -> str:
    """The corrected p-value, e.g. ``p = 0.012 after Holm for 4 comparisons``."""
    p = effect.p_holm
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return shown if effect.family < 2 else f"{shown} after Holm for {effect.family} comparisons"


def needed_text(effect: Effect) -> str:
    """How many seeds would resolve a difference of this size."""
    if effect.seeds_needed is not None:
        seeds = max(effect.seeds_needed, effect.interval.n + 1)
        return f"about {seeds:,} seeds would resolve a difference of this size"
    if effect.method.startswith("betting"):
        return "run on, or stop and leave it open"
    if effect.trainings > 1:
        return "no number of seeds would resolve it, only more trainings"
    return "no number of seeds would resolve a difference of zero"


def headline(effects: Sequence[Effect]) -> str:
    """How many comparisons are resolved, e.g. ``5 of 12 comparisons are resolved.``."""
    if not effects:
        return "Nothing was varied on its own, so nothing is compared."
    count = sum(effect.state == "resolved" for effect in effects)
    equal = sum(effect.state == "equal" for effect in effects)
    verb = "is" if count == 1 else "are"
    text = f"{count} of {len(effects)} comparisons {verb} resolved"
    return f"{text}, {equal} exactly equal." if equal else f"{text}."
