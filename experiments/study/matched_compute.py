"""Conditions at equal compute: of every level, the setting that spends most within a budget.

A method that infers twice as often reacts sooner, and a table over equal settings would call that
a merit of the method. So one factor is left free, such as the execution horizon; at every level of
the compared factor, in every context of the others, the condition is kept whose mean compute rate
is the largest one within the budget. The budget is by default the largest that every level can be
asked for: the least, over levels, of what its most expensive setting spends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.study.effects_pairing import Levels, Pairing
from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from pandas import DataFrame

SLACK = 1.05
"""How far above the budget a condition still counts as within; chosen."""


@dataclass(frozen=True)
class Matched:
    """Rows of the conditions that were kept.

    Attributes:
        frame: Their rows; the compared factor's levels name the setting that was chosen.
        factors: The factors without the free one, with the levels that are left.
        budget: Compute rate [unit of the column].
        missing: Levels and contexts without a condition within the budget.
    """

    frame: DataFrame
    factors: dict[str, list[str]]
    budget: float
    missing: tuple[str, ...]


def match_compute(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    *,
    compared: str = "strategy",
    free: str = "strategy.execution_horizon",
    cost: str = "tflop_per_s",
    budget: float | None = None,
    cluster: str | None = None,
) -> Matched:
    """Chooses per level and context the condition that spends most within the budget.

    Args:
        frame: One row an episode, as of `Study.frame`.
        factors: Factor -> its levels in order.
        compared: Factor whose levels are to be compared.
        free: Factor whose level is chosen.
        cost: Column of the compute rate, e.g. ``tflop_per_s`` or ``device_load``.
        budget: The rate not to exceed; default: see above.
        cluster: Column that tells trainings apart.

    Raises:
        ConfigError: A factor is missing, no episode has a compute rate, or nothing is within.
    """
    if cost not in frame:
        raise unknown_name("column", cost, [str(name) for name in frame])
    for name in (compared, free):
        if name not in factors:
            raise unknown_name("factor", name, factors)
    if compared == free:
        raise ConfigError(f"equal compute: expected two factors, got {compared} for both")
    pairing = Pairing(frame, factors, cluster=cluster)
    rates = {condition: _rate(pairing, k, cost) for k, condition in enumerate(pairing.conditions)}
    rates = {condition: rate for condition, rate in rates.items() if math.isfinite(rate)}
    if not rates:
        raise ConfigError(
            f"equal compute: expected episodes with {cost}, got none; policies without weights "
            "tell none, --policy xr0 does"
        )
    names = list(pairing.factors)
    at, free_at = names.index(compared), names.index(free)
    groups: dict[Levels, dict[Levels, float]] = {}
    for condition, rate in rates.items():
        groups.setdefault(_without(condition, free_at), {})[condition] = rate
    if budget is None:
        budget = min(max(group.values()) for group in groups.values())
    chosen, missing = [], []
    for group, found in groups.items():
        within = {c: rate for c, rate in found.items() if rate <= SLACK * budget}
        if within:
            chosen.append(max(within, key=lambda c: within[c]))
        else:
            missing.append(", ".join(group))
    if not chosen:
        raise ConfigError(
            f"equal compute: expected a budget of at least {min(rates.values()):.3g} in {cost}, "
            f"got {budget:.3g}"
        )
    left = sorted({condition[at] for condition in chosen})
    if len(left) < 2:
        raise ConfigError(
            f"equal compute: expected two or more levels of {compared} within a budget of "
            f"{budget:.3g} in {cost}, got {', '.join(left)} alone; run the others with levels of "
            f"{free} that spend less"
        )
    return _rows(pairing, chosen, at, free_at, budget, tuple(missing))


def _rate(pairing: Pairing, k: int, cost: str) -> float:
    rows = pairing.rows_of(k)
    return float(rows.loc[rows["valid"].astype(bool), cost].mean())


def _without(condition: Levels, place: int) -> Levels:
    return condition[:place] + condition[place + 1 :]


def _rows(
    pairing: Pairing,
    chosen: Sequence[Levels],
    at: int,
    free_at: int,
    budget: float,
    missing: tuple[str, ...],
) -> Matched:
    import pandas as pd

    names = list(pairing.factors)
    free = names[free_at].rpartition(".")[2]
    parts = []
    for condition in chosen:
        rows = pairing.rows_of(pairing.conditions.index(condition)).copy()
        text = f"{condition[at]} ({free} {condition[free_at]})"
        rows[names[at]] = text
        rows["condition"] = ", ".join([*_without(condition, free_at), text])
        parts.append(rows)
    frame = pd.concat(parts, ignore_index=True)
    factors = {name: list(levels) for name, levels in pairing.factors.items()}
    del factors[names[free_at]]
    told = [str(level) for level in frame[names[at]].unique()]
    order = list(pairing.factors[names[at]])
    told.sort(key=lambda level: order.index(level.rpartition(" (")[0]))
    factors[names[at]] = told
    return Matched(frame, factors, budget, missing)
