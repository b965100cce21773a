"""Parts of a study's page that are tables: events, validity, effects drawn as strips."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.report.study_table import estimate_text
from experiments.study.effects import Effect
from experiments.study.effects_estimates import estimate
from experiments.study.effects_events import twin_drop
from experiments.study.effects_outcomes import Outcome
from experiments.study.effects_pairing import Pairing
from experiments.study.effects_words import difference_text, needed_text, short_p
from xr0_sim.metrics.statistics import Interval, n_to_separate, wilson

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Strip:
    """One effect as a bar over an axis that its outcome shares.

    Attributes:
        text: What is compared with what.
        within: In which contexts.
        value: Difference with interval and unit.
        verdict: Whether it is resolved, and what it would take.
        state: See `Effect.state`.
        places: Percent of the axis: low end, value, high end; empty where there is no interval.
    """

    text: str
    within: str
    value: str
    verdict: str
    state: str
    places: tuple[float, float, float] | tuple[()]


@dataclass(frozen=True)
class StripChart:
    """Effects of one outcome.

    Attributes:
        outcome: Label of the outcome.
        better: Which side is better: ``left``, ``right`` or empty.
        zero: Percent of the axis where no difference lies.
        left: Text at the left end of the axis.
        right: Text at the right end.
        strips: Its effects.
    """

    outcome: str
    better: str
    zero: float
    left: str
    right: str
    strips: Sequence[Strip]


def strip_charts(effects: Sequence[Effect]) -> list[StripChart]:
    """A chart per outcome, in the order of the effects."""
    by_outcome: dict[str, list[Effect]] = {}
    for effect in effects:
        by_outcome.setdefault(effect.outcome.name, []).append(effect)
    return [_chart(found) for found in by_outcome.values()]


def _chart(effects: Sequence[Effect]) -> StripChart:
    outcome = effects[0].outcome
    told = [(e.interval.low, e.interval.value, e.interval.high) for e in effects]
    ends = [end for three in told for end in three if math.isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.06 * (high - low or 1.0)
    low, high = low - room, high + room

    def place(x: float) -> float:
        return round(100 * (min(max(x, low), high) - low) / (high - low), 2)

    strips = []
    for effect in effects:
        i = effect.interval
        known = not math.isnan(i.low) and math.isfinite(i.value)
        places = (place(i.low), place(i.value), place(i.high)) if known else ()
        strips.append(
            Strip(
                effect.contrast_text,
                effect.within_text,
                difference_text(effect),
                _verdict(effect),
                effect.state,
                places,
            )
        )
    side = {"more": "right", "less": "left", "": ""}[outcome.better]
    left, right = (outcome.shown(x, sign=True) for x in (low, high))
    return StripChart(outcome.label, side, place(0.0), left, right, strips)


def _verdict(effect: Effect) -> str:
    if effect.state == "resolved":
        word = {True: "better, ", False: "worse, ", None: ""}[effect.improvement]
        return f"{word}resolved, {short_p(effect)}"
    if effect.state == "uncorrected":
        return f"resolved alone only, {short_p(effect)}; {needed_text(effect)}"
    if effect.state == "equal":
        return f"equal in all {effect.pairs} pairs"
    return "too few pairs" if effect.state == "few" else f"not resolved; {needed_text(effect)}"


@dataclass(frozen=True)
class Section:
    """A table.

    Attributes:
        header: Its columns.
        rows: Its lines.
        notes: Sentences below it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)


def event_section(pairing: Pairing, outcomes: Sequence[Outcome]) -> Section | None:
    """What events cost and how fast they were noticed, per condition; None without events."""
    frame = pairing.frame
    if "event_kind" not in frame and "twin_success" not in frame:
        return None
    chosen = {o.name: o for o in outcomes if o.by_median}
    rows = []
    for k, condition in enumerate(pairing.conditions):
        own = pairing.rows_of(k)
        drop = twin_drop(own)
        told = [estimate(pairing, o, k) for o in chosen.values()]
        if drop is None and not any(t.interval.n for t in told):
            continue
        valid = int(own["valid"].astype(bool).sum())
        texts = [estimate_text(o, t, valid) for o, t in zip(chosen.values(), told, strict=True)]
        rows.append([pairing.short(condition), _kinds(own), _drop_text(drop), *texts])
    if not rows:
        return None
    names = [f"{o.label} ({o.unit + ', ' if o.unit else ''}median)" for o in chosen.values()]
    note = "Success minus that of the undisturbed twin: same seed, same delays, same noise."
    return Section(["condition", "event", "success − twin (points)", *names], rows, (note,))


def _kinds(rows: DataFrame) -> str:
    if "event_kind" not in rows:
        return ""
    return ", ".join(f"{kind} ({n})" for kind, n in Counter(rows["event_kind"].dropna()).items())


def _drop_text(drop: Any) -> str:
    if drop is None:
        return "–"
    i = drop.interval
    low, value, high = (f"{100 * x:+.1f}" for x in (i.low, i.value, i.high))
    return f"{value} [{low}, {high}] (n={i.n}, p = {drop.p:.2g})".replace("-", "−")


def validity_section(pairing: Pairing, excluded: Sequence[Mapping[str, Any]]) -> Section:
    """Which episodes say nothing and why; which conditions were left out and why."""
    rows = []
    for k, condition in enumerate(pairing.conditions):
        own = pairing.rows_of(k)
        invalid = own[~own["valid"].astype(bool)]
        reasons = Counter(invalid["invalid_reason"].fillna("unknown")) if len(invalid) else {}
        told = "; ".join(f"{reason} ({n})" for reason, n in Counter(reasons).most_common())
        stops = [_count(own, name) for name in ("stopped_early", "protective_stop_reason")]
        rows.append(
            [pairing.short(condition), str(len(own)), str(len(invalid)), told or "–", *stops]
        )
    header = ["condition", "episodes", "invalid", "why", "ended early", "protective stops"]
    counts = Counter(str(gone["reason"]) for gone in excluded)
    notes = [f"{n} conditions were left out: {reason}." for reason, n in counts.most_common()]
    return Section(header, rows, notes)


def _count(rows: DataFrame, column: str) -> str:
    return str(int(rows[column].notna().sum())) if column in rows else "0"


def ranking(pairing: Pairing, outcomes: Sequence[Outcome]) -> tuple[str, list[str]]:
    """Which conditions the best one in success is apart from, and the n for the others."""
    rates = [o for o in outcomes if o.name == "success"]
    if not rates or len(pairing.conditions) < 2:
        return "", []
    found: dict[str, Interval] = {}
    for k, condition in enumerate(pairing.conditions):
        values = pairing.values_of(rates[0], k)
        found[pairing.short(condition)] = wilson(int(values.sum()), len(values))
    best = max(found, key=lambda name: found[name].value)
    top = found.pop(best)
    close = {name: i for name, i in found.items() if i.overlaps(top)}
    text = f"Highest success: {best}, {100 * top.value:.1f} % [{100 * top.low:.1f}, "
    text += f"{100 * top.high:.1f}], n = {top.n}. "
    if not close:
        return text + "Its interval is apart from those of all other conditions.", []
    apart = len(found) - len(close)
    if apart:
        text += f"It is apart from {apart} of the {len(found)} others, not ranked above the rest."
    else:
        text += f"It is not ranked above any of the {len(found)} others: all intervals overlap."
    needs = []
    for name, i in close.items():
        need = n_to_separate(top.value, i.value) if i.n else None
        needs.append(f"{name}: " + (f"n = {need:,}" if need else "no n, equal rates"))
    return text, needs
