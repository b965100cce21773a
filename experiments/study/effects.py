"""Effects of a study's factors: paired differences, main effects and interactions, corrected.

For every factor and outcome each level is compared with the factor's reference level over pairs of
equal seed (and equal training): once in every context of the other factors (``simple``), once
averaged over all contexts that hold both (``main``). ``interaction`` is the difference of two such
differences. What kind of interval stands behind each is told by `Effect.method`.

Within one outcome and one kind all comparisons form a family, whose p-values are corrected by Holm.
An effect is *resolved* if its 95 % interval leaves out zero and its corrected p-value is at most
5 %. What is not resolved is not ranked; the number of seeds that would resolve it is told instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.study.effects_outcomes import Outcome, study_outcomes
from experiments.study.effects_pairing import Comparison, Pairing, differences
from xr0_sim.metrics.contrast import Contrast, contrast
from xr0_sim.metrics.median import median_interval
from xr0_sim.metrics.paired_tests import SignShare, holm, mcnemar_exact, sign_test
from xr0_sim.metrics.sequential import mean_sequence, sequence_p_value
from xr0_sim.metrics.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    from pandas import DataFrame

ALPHA = 1.0 - CONFIDENCE
KINDS = ("main", "simple", "interaction")


@dataclass(frozen=True)
class Effect:
    """One comparison in one outcome.

    Attributes:
        outcome: What was measured.
        comparison: What was compared with what.
        interval: Difference in the outcome's unit with its 95 % interval; ``n`` counts seeds.
        pairs: Complete pairs behind it, over contexts and trainings.
        trainings: Trainings behind it.
        p: P-value of this comparison alone; NaN where n is too small.
        p_holm: Corrected for the family.
        family: Comparisons in the family.
        method: Kind of interval and test.
        equal: Whether all pairs are exactly equal.
        seeds_needed: Seeds at which the interval, corrected for the family (Bonferroni), would
            leave out zero if the value were the truth; None if no number of them would.
    """

    outcome: Outcome
    comparison: Comparison
    interval: Interval
    pairs: int
    trainings: int
    p: float
    p_holm: float
    family: int
    method: str
    equal: bool
    seeds_needed: int | None

    @property
    def state(self) -> str:
        """``resolved``, ``uncorrected`` (alone it would be), ``unresolved``, ``equal``, ``few``."""
        if self.equal:
            return "equal"
        if math.isnan(self.interval.low) or math.isnan(self.p):
            return "few"
        if self.interval.low <= 0.0 <= self.interval.high or self.p > ALPHA:
            return "unresolved"
        return "resolved" if self.p_holm <= ALPHA else "uncorrected"

    @property
    def contrast_text(self) -> str:
        """For example ``strategy: sync → prefix_async``; for interactions both, joined by ×."""
        c = self.comparison
        parts = zip(c.factors, c.references, c.levels, strict=True)
        return " × ".join(f"{name}: {ref} → {level}" for name, ref, level in parts)

    @property
    def within_text(self) -> str:
        """Where it holds, e.g. ``latency=80ms`` or ``all 3 contexts``; empty if there is one."""
        c = self.comparison
        if c.kind == "simple":
            return ", ".join(f"{name}={level}" for name, level in c.within.items())
        return f"all {len(c.contexts)} contexts" if len(c.contexts) > 1 else ""

    @property
    def improvement(self) -> bool | None:
        """Whether a resolved difference is for the better; None where that cannot be said."""
        interaction = self.comparison.kind == "interaction"
        if interaction or self.state != "resolved" or not self.outcome.better:
            return None
        return (self.interval.value > 0) == (self.outcome.better == "more")

    def to_dict(self) -> dict[str, Any]:
        """One flat row, in the outcome's own unit."""
        c = self.comparison
        return {
            "outcome": self.outcome.name,
            "kind": c.kind,
            "factor": " × ".join(c.factors),
            "level": " × ".join(c.levels),
            "reference": " × ".join(c.references),
            "within": self.within_text,
            "value": self.interval.value,
            "low": self.interval.low,
            "high": self.interval.high,
            "n": self.interval.n,
            "pairs": self.pairs,
            "contexts": len(c.contexts),
            "trainings": self.trainings,
            "p": self.p,
            "p_holm": self.p_holm,
            "family": self.family,
            "state": self.state,
            "seeds_needed": self.seeds_needed,
            "method": self.method,
        }


@dataclass(frozen=True)
class Effects:
    """All effects of a study.

    Attributes:
        effects: Outcome by outcome, kind by kind, in the order of the factors.
        unpaired: Levels that were never varied on their own, as ``factor=level``.
    """

    effects: tuple[Effect, ...]
    unpaired: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Effect]:
        return iter(self.effects)

    def __len__(self) -> int:
        return len(self.effects)

    def select(self, *, kind: str | None = None, outcome: str | None = None) -> list[Effect]:
        """Effects of one kind, one outcome, or both."""
        return [
            effect
            for effect in self.effects
            if kind in (None, effect.comparison.kind) and outcome in (None, effect.outcome.name)
        ]

    def frame(self) -> DataFrame:
        """One row an effect; columns as in `Effect.to_dict`."""
        import pandas as pd

        frame = pd.DataFrame([effect.to_dict() for effect in self.effects])
        if len(frame):
            frame["seeds_needed"] = frame["seeds_needed"].astype("Int64")
        return frame

    def sentences(self, kind: str = "main") -> list[str]:
        """What is resolved and what is not, in words, the resolved first."""
        from experiments.study.effects_words import sentences

        return sentences(self.select(kind=kind))

    def _repr_html_(self) -> str:
        return self.frame().to_html(index=False, float_format="{:.3g}".format)


def study_effects(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    reference: Mapping[str, str] | None = None,
    *,
    outcomes: Sequence[str] | None = None,
    kinds: Sequence[str] = KINDS,
    cluster: str | None = None,
    limit_s: float | None = None,
    sequential: bool = False,
    rng: np.random.Generator | None = None,
) -> Effects:
    """Compares every level of every factor with its reference, pair by pair.

    Args:
        frame: One row an episode: a text column per factor, ``seed``, ``valid``, the figures.
        factors: Factor -> its levels in order.
        reference: Factor -> level to compare with; the first where none is named.
        outcomes: Columns; None for `study_outcomes`.
        kinds: Some of `KINDS`.
        cluster: Column that tells trainings of one recipe apart.
        limit_s: Time limit of all episodes [s]; None for the longest.
        sequential: Whether the number of seeds was chosen by looking: bounded outcomes then get
            confidence sequences, which stay valid.
        rng: Source of the cluster bootstrap; needed with several trainings.
    """
    pairing = Pairing(frame, factors, reference, cluster)
    comparisons = pairing.comparisons(kinds)
    found: list[Effect] = []
    for outcome in study_outcomes(frame, outcomes, limit_s):
        cube = pairing.cube(outcome.values(frame))
        for kind in KINDS:
            family = [c for c in comparisons if c.kind == kind]
            found += _family(outcome, family, cube, sequential, rng)
    return Effects(tuple(found), tuple(pairing.unpaired()))


def _family(
    outcome: Outcome,
    comparisons: Sequence[Comparison],
    cube: NDArray[np.float64],
    sequential: bool,
    rng: np.random.Generator | None,
) -> list[Effect]:
    """Effects of one outcome and kind that have a pair, with their p-values corrected."""
    found: list[tuple[Effect, Contrast | SignShare]] = []
    for comparison in comparisons:
        differs = differences(cube, comparison)
        if np.isnan(differs).all():
            continue
        if outcome.by_median:
            found.append(_by_median(outcome, comparison, differs))
            continue
        legs = len(comparison.factors)
        plain = contrast(differs, rates=outcome.kind == "rate", legs=legs, rng=rng)
        effect = _plain(outcome, comparison, cube, differs, plain)
        if sequential:
            effect = _sequential(effect, differs)
        found.append((effect, plain))
    corrected = holm([effect.p for effect, _ in found])
    family = int(np.isfinite(corrected).sum())
    level = 1.0 - ALPHA / max(1, family)
    return [
        replace(
            effect,
            p_holm=float(p),
            family=family,
            seeds_needed=None if sequential else plain.seeds_to_resolve(level),
        )
        for (effect, plain), p in zip(found, corrected, strict=True)
    ]


def _plain(
    outcome: Outcome,
    comparison: Comparison,
    cube: NDArray[np.float64],
    differs: NDArray[np.float64],
    plain: Contrast,
) -> Effect:
    """Effect with the interval of a number of seeds that was fixed beforehand."""
    rate, legs = outcome.kind == "rate", len(comparison.factors)
    p = plain.p_value()
    method = "Agresti-Min" if rate else "paired t"
    if rate and plain.trainings == plain.blocks == legs == 1:
        sides = cube[..., list(comparison.contexts[0])].reshape(-1, 2)
        sides = sides[np.isfinite(sides).all(axis=1)]
        p, method = mcnemar_exact(sides[:, 0] > 0.5, sides[:, 1] > 0.5), "Agresti-Min, McNemar"
    elif plain.blocks > 1:
        method += ", seeds as clusters"
    if plain.trainings > 1:
        method = "cluster bootstrap over trainings and seeds"
    return Effect(
        outcome,
        comparison,
        plain.interval(legs * outcome.span),
        plain.pairs,
        plain.trainings,
        p,
        math.nan,
        0,
        method,
        not rate and bool((differs[np.isfinite(differs)] == 0.0).all()),
        None,
    )


def _by_median(
    outcome: Outcome, comparison: Comparison, differs: NDArray[np.float64]
) -> tuple[Effect, SignShare]:
    """Effect on what may be censored: the median over seeds of each seed's median difference.

    A pair of which one is censored has an infinite difference, which a median bears; a pair of
    which both are says nothing. Each seed gives one number, so order statistics are exact whatever
    its contexts and trainings have in common.
    """
    known = ~np.isnan(differs)
    seeds = [differs[:, seed][known[:, seed]] for seed in range(differs.shape[1])]
    with np.errstate(invalid="ignore"):  # of two infinite ones neither is in the middle
        by_seed = np.array([np.median(values) for values in seeds if len(values)])
    by_seed = by_seed[~np.isnan(by_seed)]
    effect = Effect(
        outcome,
        comparison,
        median_interval(by_seed),
        int(known.sum()),
        int(known.any(axis=(1, 2)).sum()),
        sign_test(by_seed, np.zeros(len(by_seed))) if len(by_seed) else math.nan,
        math.nan,
        0,
        "median of pairs, sign test",
        bool((differs[known] == 0.0).all()),
        None,
    )
    return effect, SignShare(int((by_seed > 0).sum()), int((by_seed < 0).sum()))


def _sequential(effect: Effect, differs: NDArray[np.float64]) -> Effect:
    """The same with a confidence sequence over seeds whose contexts are all complete."""
    span = len(effect.comparison.factors) * effect.outcome.span
    if not math.isfinite(span) or effect.trainings > 1:
        return replace(effect, method=f"{effect.method}; not corrected for stopping")
    by_seed = differs[0][np.isfinite(differs[0]).all(axis=1)].mean(axis=1)
    bounds = (-span, span)
    return replace(
        effect,
        interval=mean_sequence(by_seed, bounds),
        p=sequence_p_value(by_seed, bounds, 0.0),
        method="betting confidence sequence",
    )
