"""L_max: the largest latency that costs a condition at most so many points of success.

The loss of a level is the success without latency minus its own, over pairs of equal seed, with the
interval that a study's effects have. A level is *within* the limit if the upper end of the 95 %
interval is, *beyond* it if the lower end is, *open* between. L_max is the largest level within,
below the smallest one beyond.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.study.design import Design
from experiments.study.effects import Effect, study_effects
from experiments.study.effects_outcomes import study_outcomes
from experiments.study.effects_pairing import Pairing
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import Interval
from xr0_sim.runtime.latency.base import LatencyContext, LatencyModel
from xr0_sim.runtime.latency.presets import parse_latency

if TYPE_CHECKING:
    from pandas import DataFrame

POINTS = 10.0
"""Loss that L_max allows [points of success]; chosen."""
DRAWS = 256
"""Inferences over which a latency that is not constant is averaged; chosen."""


@dataclass(frozen=True)
class LevelLoss:
    """What one latency costs.

    Attributes:
        level: Text of the level.
        seconds: Its mean latency [s].
        loss: Success without latency minus its own, as a share, with its 95 % interval.
        state: ``within`` the limit, ``beyond`` it, ``open``, or ``few`` pairs for an interval.
        seeds_needed: About how many seeds would settle an open one, if the value were the truth.
    """

    level: str
    seconds: float
    loss: Interval
    state: str
    seeds_needed: int | None = None

    @property
    def text(self) -> str:
        """For example ``80ms: loses 2.1 points [−1.0, 5.2]``."""
        i = self.loss
        told = (round(100 * x, 1) + 0.0 for x in (i.value, i.low, i.high))  # no minus zero
        value, low, high = (f"{x:.1f}".replace("-", "−") for x in told)
        ends = "" if math.isnan(i.low) else f" [{low}, {high}]"
        return f"{self.level}: loses {value} points{ends}"


@dataclass(frozen=True)
class LatencyLimit:
    """L_max of one context.

    Attributes:
        points: Allowed loss [points].
        within: Levels of the other factors; empty where it is averaged over their contexts.
        zero: Level without latency.
        success: Success there, mean over the context.
        losses: One per other level, by latency.
    """

    points: float
    within: Mapping[str, str]
    zero: str
    success: float
    losses: tuple[LevelLoss, ...]

    @property
    def found(self) -> LevelLoss | None:
        """The level that is L_max; None where no level is within."""
        beyond = [loss.seconds for loss in self.losses if loss.state == "beyond"]
        fits = [loss for loss in self.losses if loss.state == "within"]
        fits = [loss for loss in fits if not beyond or loss.seconds < min(beyond)]
        return fits[-1] if fits and self.can_lose else None

    @property
    def can_lose(self) -> bool:
        """Whether there is more success than the allowed loss to lose."""
        return self.success > self.points / 100

    @property
    def seconds(self) -> float | None:
        """L_max [s]; None where no level is within."""
        return None if self.found is None else self.found.seconds

    def __str__(self) -> str:
        """One sentence: the limit, and what bounds it from above."""
        name = f"L_max({self.points:g})"
        if self.within:
            name += f", {', '.join(f'{k}={v}' for k, v in self.within.items())}"
        if not self.can_lose:
            rate = f"{100 * self.success:.1f} %"
            return f"{name}: says nothing, success without latency is only {rate}."
        found = self.found
        above = [s for s in self.losses if found is None or s.seconds > found.seconds]
        head = f"none of the levels ({self.zero} apart)"
        if found is not None:
            head = found.text.replace(":", ",", 1)
            if not above:
                head = f"at least {head}, the largest level"
        return f"{name}: {'; '.join([head, *(_bounding(loss) for loss in above)])}."

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "points": self.points,
            "within": dict(self.within),
            "level": None if self.found is None else self.found.level,
            "seconds": self.seconds,
            "success_without_latency": self.success,
            "losses": [
                {
                    "level": loss.level,
                    "seconds": loss.seconds,
                    "state": loss.state,
                    "seeds_needed": loss.seeds_needed,
                    **{k: getattr(loss.loss, k) for k in ("value", "low", "high", "n")},
                }
                for loss in self.losses
            ],
            "text": str(self),
        }


def _bounding(loss: LevelLoss) -> str:
    word = {"beyond": "beyond the limit", "within": "within again", "few": "too few pairs"}
    if loss.state != "open":
        return f"{loss.text}, {word[loss.state]}"
    needed = loss.seeds_needed
    tail = "" if needed is None else f", about {needed:,} seeds would settle it"
    return f"{loss.text}, not resolved{tail}"


def latency_limits(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float],
    *,
    factor: str = "latency",
    points: float = POINTS,
    reference: Mapping[str, str] | None = None,
    **options: Any,
) -> list[LatencyLimit]:
    """L_max over all contexts, and in each context of the other factors.

    Args:
        frame: See `experiments.study.effects.study_effects`.
        factors: See there.
        seconds: Level of ``factor`` -> its mean latency [s], see `latency_factors`.
        factor: Factor whose levels are latencies.
        points: Allowed loss [points of success].
        reference: See `study_effects`; that of ``factor`` is its level without latency.
        **options: ``cluster``, ``sequential``, ``rng``.

    Raises:
        ConfigError: No level without latency, or no success in the frame.
    """
    if not 0.0 < points < 100.0:
        raise ConfigError(f"L_max: expected points in (0, 100), got {points:g}")
    zero = next((level for level in factors[factor] if seconds[level] == 0.0), None)
    if zero is None:
        raise ConfigError(
            f"L_max: expected a level of {factor} without latency to compare with, got "
            f"{', '.join(factors[factor])}; add 0"
        )
    against = {**(reference or {}), factor: zero}
    effects = study_effects(
        frame, factors, against, outcomes=["success"], kinds=("main", "simple"), **options
    )
    pairing = Pairing(frame, factors, against, options.get("cluster"))
    (outcome,) = study_outcomes(frame, ["success"])
    groups: dict[tuple[tuple[str, str], ...], list[Effect]] = {}
    for effect in effects:
        if effect.comparison.factors == (factor,):
            groups.setdefault(tuple(effect.comparison.within.items()), []).append(effect)
    found = []
    for within, group in groups.items():
        places = {context[1] for effect in group for context in effect.comparison.contexts}
        rates = [pairing.values_of(outcome, place) for place in sorted(places)]
        success = float(np.mean([rate.mean() for rate in rates if len(rate)]))
        losses = [_loss(effect, seconds, points / 100) for effect in group]
        losses.sort(key=lambda loss: loss.seconds)
        found.append(LatencyLimit(points, dict(within), zero, success, tuple(losses)))
    return found


def _loss(effect: Effect, seconds: Mapping[str, float], allowed: float) -> LevelLoss:
    (level,) = effect.comparison.levels
    i = effect.interval
    loss = Interval(-i.value, -i.high, -i.low, i.n)
    told = LevelLoss(level, seconds[level], loss, "open")
    if math.isnan(loss.low) or math.isnan(loss.high):
        return replace(told, state="few")
    if loss.high <= allowed:
        return replace(told, state="within")
    if loss.low > allowed:
        return replace(told, state="beyond")
    half, apart = (loss.high - loss.low) / 2, abs(allowed - loss.value)
    needed = math.ceil(i.n * (half / apart) ** 2) if apart > 0.001 else None
    return replace(told, seeds_needed=None if needed is None else max(needed, i.n + 1))


def latency_factors(design: Design) -> dict[str, dict[str, float]]:
    """Factors whose every level sets a latency -> level -> its mean [s]."""
    found = {}
    for name, levels in design.factors.items():
        texts = {level: settings.get("latency") for level, settings in levels.items()}
        if not all(isinstance(text, str) for text in texts.values()):
            continue
        # A trace whose file is gone, or a plug-in's latency, is known by its rows alone.
        with contextlib.suppress(ConfigError):
            found[name] = {k: mean_latency_s(parse_latency(str(v))) for k, v in texts.items()}
    return found


def mean_latency_s(model: LatencyModel) -> float:
    """Mean latency of full inferences [s], over `DRAWS` of an episode with a fixed seed."""
    rng = np.random.default_rng(0)
    drawn: list[float] = []
    for number in range(DRAWS):
        previous = drawn[-1] if drawn else None
        drawn.append(model.sample(rng, LatencyContext(number, 0, previous_s=previous)))
    # Of a constant latency exactly that.
    return drawn[0] if min(drawn) == max(drawn) else float(np.mean(drawn))
