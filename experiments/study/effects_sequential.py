"""How long a study goes on: until its intervals are narrow enough, with a bound on the seeds.

The intervals looked at are confidence sequences (`xr0_sim.metrics.sequential`), which hold at every
n at once; the same ones are then reported (``sequential=True`` of the tables and effects). Look
after whole batches of seeds only: an unfinished batch holds its quick episodes alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.study.effects import study_effects
from experiments.study.effects_estimates import estimate
from experiments.study.effects_outcomes import study_outcomes
from experiments.study.effects_pairing import Pairing
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import Interval

if TYPE_CHECKING:
    from pandas import DataFrame

UNITS = {"points": ("success", 0.01), "s": ("time_to_success_s", 1.0)}
"""Unit of a target -> the outcome that is meant, and the unit in that of its column."""
TARGET = re.compile(r"^(?:±|\+/-|\+-)\s*(\d+(?:\.\d+)?)\s*(points|s)(\s+paired)?$")


@dataclass(frozen=True)
class Until:
    """A target for the half-width of intervals.

    Attributes:
        outcome: ``success`` or ``time_to_success_s``.
        half_width: Target, in the outcome's unit.
        paired: Whether the paired differences of all factors are meant, not the conditions.
        most_seeds: Seeds at which the study ends in any case.
    """

    outcome: str
    half_width: float
    paired: bool
    most_seeds: int

    @classmethod
    def parse(cls, text: str, most_seeds: int) -> Until:
        """Reads ``±3 points``, ``±0.5 s`` or ``±3 points paired``.

        Points are those of every condition's success rate, seconds those of its restricted mean
        time to success; ``paired`` asks for the averaged difference of every level to its
        reference.

        Raises:
            ConfigError: The text is no target, or no seed may run.
        """
        match = TARGET.match(text.strip())
        if match is None or float(match[1]) <= 0:
            raise ConfigError(
                f"until: expected e.g. '±3 points', '±0.5 s' or '±3 points paired', got {text!r}"
            )
        if most_seeds < 1:
            raise ConfigError(f"until: expected at least 1 seed as its bound, got {most_seeds}")
        outcome, unit = UNITS[match[2]]
        return cls(outcome, float(match[1]) * unit, match[3] is not None, most_seeds)

    def intervals(
        self,
        frame: DataFrame,
        factors: Mapping[str, Sequence[str]],
        reference: Mapping[str, str] | None = None,
        limit_s: float | None = None,
    ) -> dict[str, Interval]:
        """The confidence sequences that are looked at, by condition or comparison."""
        if self.paired:
            found = study_effects(
                frame,
                factors,
                reference,
                outcomes=[self.outcome],
                kinds=["main"],
                limit_s=limit_s,
                sequential=True,
            )
            return {effect.contrast_text: effect.interval for effect in found}
        pairing = Pairing(frame, factors, reference)
        (outcome,) = study_outcomes(frame, [self.outcome], limit_s)
        return {
            pairing.label(condition): estimate(pairing, outcome, k, sequential=True).interval
            for k, condition in enumerate(pairing.conditions)
        }

    def too_wide(
        self,
        frame: DataFrame,
        factors: Mapping[str, Sequence[str]],
        reference: Mapping[str, str] | None = None,
        limit_s: float | None = None,
    ) -> dict[str, Interval]:
        """Those wider than the target; the study may end where there are none.

        Args:
            frame: Rows of whole batches, see `study_effects`.
            factors: See `study_effects`.
            reference: See `study_effects`.
            limit_s: Time limit of the episodes [s]; named, it does not grow with the rows.
        """
        found = self.intervals(frame, factors, reference, limit_s)
        return {name: i for name, i in found.items() if not half_width(i) <= self.half_width}

    def done(
        self,
        frame: DataFrame,
        factors: Mapping[str, Sequence[str]],
        reference: Mapping[str, str] | None = None,
        limit_s: float | None = None,
    ) -> bool:
        """Whether no further batch is needed, or none is left; arguments as for `too_wide`."""
        if frame["seed"].nunique() >= self.most_seeds:
            return True
        return len(frame) > 0 and not self.too_wide(frame, factors, reference, limit_s)


def half_width(interval: Interval) -> float:
    """Half the distance of the ends; infinite where n is too small to say."""
    width = interval.high - interval.low
    return math.inf if math.isnan(width) else 0.5 * width
