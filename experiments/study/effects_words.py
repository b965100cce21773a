"""Effects as sentences: what is resolved, what is not, and what it would take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.study.effects import Effect

ORDER = ("resolved", "uncorrected", "unresolved", "equal", "few")


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
    shown = short_p(effect)
    return shown if effect.family < 2 else f"{shown} after Holm for {effect.family} comparisons"


def short_p(effect: Effect) -> str:
    """The corrected p-value, e.g. ``p = 0.012``."""
    p = effect.p_holm
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


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


@dataclass(frozen=True)
class Summary:
    """One comparison over all outcomes.

    Attributes:
        title: What is compared with what, e.g. ``strategy: sync → prefix_async``.
        where: Contexts and seeds.
        parts: Verdict, e.g. ``Better`` or ``Not resolved`` -> what it is said of.
    """

    title: str
    where: str
    parts: dict[str, list[str]]


VERDICTS = (
    "Better",
    "Worse",
    "Resolved",
    "Resolved alone",
    "Not resolved",
    "Exactly equal",
    "Too few",
)


def summaries(effects: Sequence[Effect]) -> list[Summary]:
    """Every comparison once, with its outcomes by verdict."""
    by_comparison: dict[str, list[Effect]] = {}
    for effect in effects:
        by_comparison.setdefault(f"{effect.contrast_text} {effect.within_text}", []).append(effect)
    found = []
    for group in by_comparison.values():
        parts: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
        for effect in group:
            parts[_verdict(effect)].append(_short(effect))
        where = f"{max(e.interval.n for e in group)} seeds"
        if group[0].trainings > 1:
            where += f", {group[0].trainings} trainings"
        if group[0].within_text:
            where = f"{group[0].within_text}, {where}"
        told = {verdict: texts for verdict, texts in parts.items() if texts}
        found.append(Summary(group[0].contrast_text, where, told))
    return found


def _verdict(effect: Effect) -> str:
    if effect.state == "resolved":
        return {True: "Better", False: "Worse", None: "Resolved"}[effect.improvement]
    states = ("uncorrected", "unresolved", "equal", "few")
    return dict(zip(states, VERDICTS[3:], strict=True))[effect.state]


def _short(effect: Effect) -> str:
    """For example ``jerk +0.3 m/s³ [−0.1, +0.7] (n ≈ 450)``."""
    if effect.state == "equal":
        return effect.outcome.label
    text = f"{effect.outcome.label} {difference_text(effect)}"
    if effect.state in ("resolved", "few"):
        return text
    if effect.seeds_needed is not None:
        return f"{text} (n\u00a0≈\u00a0{max(effect.seeds_needed, effect.interval.n + 1):,})"
    return f"{text} ({needed_text(effect)})" if effect.trainings > 1 else text


def headline(effects: Sequence[Effect]) -> str:
    """How many comparisons are resolved, e.g. ``5 of 12 comparisons are resolved.``."""
    if not effects:
        return "Nothing was varied on its own, so nothing is compared."
    counts = Counter(effect.state for effect in effects)
    verb = "is" if counts["resolved"] == 1 else "are"
    parts = [f"{counts['resolved']} of {len(effects)} comparisons {verb} resolved"]
    open_ones = counts["unresolved"] + counts["uncorrected"] + counts["few"]
    parts += [f"{open_ones} not"] if open_ones else []
    parts += [f"{counts['equal']} exactly equal"] if counts["equal"] else []
    return ", ".join(parts) + "."
