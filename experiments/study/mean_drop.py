"""What a scene change costs over all its kinds: the mean paired drop of success.

In every scene the success under each kind of event is compared with that of the same seed without
one; the differences are averaged over the kinds, so that a scene is one number, and the interval is
Student's over scenes. Kinds that were not valid in a scene are left out of its mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xr0_sim.metrics.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from pandas import DataFrame

FACTOR = "event"
UNDISTURBED = "none"


@dataclass(frozen=True)
class MeanDrop:
    """The drop in one context of the other factors.

    Attributes:
        within: Levels of the other factors.
        kinds: Kinds of event behind it.
        drop: Success without an event minus the mean with one, as a share; ``n`` counts scenes.
    """

    within: Mapping[str, str]
    kinds: tuple[str, ...]
    drop: Interval

    def __str__(self) -> str:
        """One sentence."""
        told = (100 * x for x in (self.drop.value, self.drop.low, self.drop.high))
        value, low, high = (f"{round(x, 1) + 0.0:.1f}".replace("-", "−") for x in told)
        ends = "" if math.isnan(self.drop.low) else f" [{low}, {high}]"
        where = "".join(f", {name}={level}" for name, level in self.within.items())
        return (
            f"Over all {len(self.kinds)} kinds of event{where}: success falls by {value} "
            f"points{ends} over {self.drop.n} seeds."
        )

    def to_dict(self) -> dict[str, Any]:
        """One flat row, in shares."""
        return {
            "within": dict(self.within),
            "kinds": list(self.kinds),
            "drop": self.drop.value,
            "low": self.drop.low,
            "high": self.drop.high,
            "n": self.drop.n,
        }


def mean_drops(
    frame: DataFrame, factors: Mapping[str, Sequence[str]], cluster: str | None = None
) -> list[MeanDrop]:
    """The mean paired drop in every context; empty unless two kinds of event stand beside none.

    Args:
        frame: Rows of a study, with a column for each factor, ``seed``, ``valid``, ``success``.
        factors: Levels by factor.
        cluster: Factor of trainings; a scene is averaged over them.
    """
    levels = list(factors.get(FACTOR, ()))
    kinds = [level for level in levels if level != UNDISTURBED]
    if UNDISTURBED not in levels or len(kinds) < 2:
        return []
    others = [name for name in factors if name not in (FACTOR, cluster)]
    known = frame[frame["valid"].astype(bool)].dropna(subset=["success"])
    groups = known.groupby(others, sort=False, observed=True) if others else [((), known)]
    found = []
    for where, rows in groups:
        scenes = rows.assign(success=rows["success"].astype(float)).pivot_table(
            index="seed", columns=FACTOR, values="success", observed=True
        )
        there = [kind for kind in kinds if kind in scenes]
        if UNDISTURBED not in scenes or not there:
            continue
        drops = scenes[there].rsub(scenes[UNDISTURBED], axis=0).mean(axis=1).dropna()
        if drops.empty:
            continue
        within = dict(zip(others, where, strict=True))
        found.append(MeanDrop(within, tuple(there), mean_interval(np.asarray(drops))))
    return found
