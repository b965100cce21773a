"""What a study measures: outcome columns of its frame, with their units, bounds and censoring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.metrics.summary import figure_bounds

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Kind = Literal["rate", "mean", "time", "reaction", "ratio"]


@dataclass(frozen=True)
class Outcome:
    """One column, or one derived from columns, and how it is read.

    Attributes:
        name: Column of the frame; ``reaction_ratio`` is derived.
        label: Name people read.
        kind: ``rate`` of booleans, ``mean`` of numbers, ``time`` restricted at ``limit``,
            ``reaction`` that may be censored, ``ratio`` of a reaction to its lower bound.
        scale: Factor from the column's unit to the shown one.
        unit: Shown unit; may be empty.
        better: ``more``, ``less``, or empty where neither is.
        bounds: Smallest and largest possible value, in the column's unit.
        limit: Time limit [s] of a ``time``.
    """

    name: str
    label: str
    kind: Kind = "mean"
    scale: float = 1.0
    unit: str = ""
    better: Literal["more", "less", ""] = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    limit: float | None = None

    @property
    def span(self) -> float:
        """Largest possible difference of two values, in the column's unit."""
        return self.bounds[1] - self.bounds[0]

    @property
    def by_median(self) -> bool:
        """Whether it is told by medians, in which what never came is slower than all others."""
        return self.kind in ("reaction", "ratio")

    def values(self, frame: DataFrame) -> Series:
        """One number per row, in the column's unit; NaN where the row says nothing.

        A failure counts as the whole time limit; a reaction that did not come is infinite.
        """
        if self.kind == "time":
            never = ~frame["success"].astype("boolean").fillna(False).astype(bool)
            found = _number(frame[self.name]).mask(never, self.limit).clip(upper=self.limit)
        elif self.by_median:
            censored = frame["reaction_censored"].astype("boolean").fillna(False).astype(bool)
            found = _number(frame["reaction_s"]).mask(censored, math.inf)
            if self.kind == "ratio":
                bound = _number(frame["reaction_bound_s"])
                found = found / bound.where(bound > 0)
        else:
            found = _number(frame[self.name])
        found = found.where(frame["valid"].astype(bool))
        return found if self.by_median else found.where(np.isfinite(found))

    def shown(self, value: float, *, sign: bool = False, unit: bool = True) -> str:
        """A value in its shown unit, e.g. ``85.0 %``, ``+3.2 points``, ``6.41 s``."""
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return ("+∞" if sign else "∞") if value > 0 else "−∞"
        sign_flag = "+" if sign else ""
        if self.kind == "rate":
            text, name = f"{100 * value:{sign_flag}.1f}", "points" if sign else "%"
        else:
            shown = f"{self.scale * value:{sign_flag}#.3g}"
            text, name = shown.rstrip("."), self.unit
        text = text.replace("-", "−")
        return f"{text} {name}" if unit and name else text


KNOWN = (
    Outcome("success", "success", "rate", better="more", bounds=(0.0, 1.0)),
    Outcome("progress", "progress", better="more", bounds=(0.0, 1.0)),
    Outcome("time_to_success_s", "time to success", "time", unit="s", better="less"),
    Outcome("age_mean_ticks", "action age", unit="ticks", better="less"),
    Outcome("hold_share", "starvation", scale=100.0, unit="% of ticks", better="less"),
    Outcome("seam_position_mean_rad", "seam", scale=1e3, unit="mrad", better="less"),
    Outcome("tool_jerk_m_s3", "jerk", unit="m/s³", better="less"),
    Outcome("reaction_s", "reaction", "reaction", 1e3, "ms", "less", (0.0, math.inf)),
    Outcome("reaction_ratio", "reaction / bound", "ratio", 1.0, "", "less", (0.0, math.inf)),
)
"""Outcomes of every study, in the order of its table; throughputs stand after the time."""
ASKED = (
    Outcome("model_calls", "model calls", better="less"),
    Outcome("corrections", "corrections", better="less"),
    Outcome("compute_tflop", "compute", unit="TFLOP", better="less"),
    Outcome("tflop_per_s", "compute rate", unit="TFLOP/s", better="less"),
    Outcome("device_load", "device load", unit="inferences", better="less"),
    Outcome("expected_reaction_s", "expected reaction", scale=1e3, unit="ms", better="less"),
    Outcome("worst_reaction_s", "worst reaction", scale=1e3, unit="ms", better="less"),
    Outcome("serial_floor_s", "serial floor", scale=1e3, unit="ms"),
    Outcome("open_loop_ticks", "open-loop exposure", unit="ticks", better="less"),
    Outcome("loops", "loop rate", "rate", better="less", bounds=(0.0, 1.0)),
    Outcome("stale_share", "stale actions", scale=100.0, unit="% of ticks", better="less"),
    Outcome("effective_control_hz", "effective control rate", unit="Hz", better="more"),
)
"""Outcomes that a table shows where they are named."""
PER_MINUTE = "_per_min"


def study_outcomes(
    frame: DataFrame, names: Sequence[str] | None = None, limit_s: float | None = None
) -> list[Outcome]:
    """Outcomes that the frame holds, or the named ones.

    Args:
        frame: One row an episode, see `experiments.study`.
        names: Columns in the wanted order; None for all of `KNOWN` and every throughput that has a
            value.
        limit_s: Time limit of all episodes [s]; None for the longest valid one.

    Raises:
        ConfigError: No such outcome.
    """
    known = {outcome.name: outcome for outcome in (*KNOWN, *ASKED)}
    usual = [outcome.name for outcome in KNOWN]
    place = usual.index("time_to_success_s") + 1
    usual[place:place] = [column for column in frame if str(column).endswith(PER_MINUTE)]
    wanted = usual if names is None else list(names)
    there = {*(str(column) for column in frame), *_derived(frame)}
    found = []
    for name in wanted:
        if name not in there:
            if names is not None:
                raise unknown_name("outcome", name, sorted(there))
            continue
        outcome = _bounded(known.get(name) or _own(frame, name), frame, limit_s)
        if names is not None or outcome.values(frame).notna().any():
            found.append(outcome)
    if not found:
        raise ConfigError("study: expected a frame with outcomes such as success, got none")
    return found


def _derived(frame: DataFrame) -> set[str]:
    return {"reaction_ratio"} if {"reaction_s", "reaction_bound_s"} <= set(frame) else set()


def _own(frame: DataFrame, name: str) -> Outcome:
    """An outcome that is not in the list: a throughput, or any column of numbers or booleans."""
    if name.endswith(PER_MINUTE):
        return Outcome(name, f"{name.removesuffix(PER_MINUTE)}/min", better="more")
    kind = str(frame[name].dtype)
    if kind.startswith("bool"):
        return Outcome(name, name.replace("_", " "), "rate", bounds=(0.0, 1.0))
    try:
        _number(frame[name])
    except (TypeError, ValueError):
        raise ConfigError(
            f"outcome {name}: expected a column of numbers, got {kind}; name another"
        ) from None
    return Outcome(name, name.replace("_", " "))


def _bounded(outcome: Outcome, frame: DataFrame, limit_s: float | None) -> Outcome:
    if outcome.kind == "time":
        limit = _longest(frame) if limit_s is None else limit_s
        return replace(outcome, limit=limit, bounds=(0.0, limit))
    if outcome.kind == "rate" or outcome.by_median:
        return outcome
    return replace(outcome, bounds=figure_bounds(outcome.name))


def _longest(frame: DataFrame) -> float:
    column = "duration_s" if "duration_s" in frame else "time_to_success_s"
    seconds = _number(frame.loc[frame["valid"].astype(bool), column])
    return float(seconds.max()) if seconds.notna().any() else math.inf


def _number(column: Series) -> Series:
    import pandas as pd

    return pd.to_numeric(column).astype("Float64").astype("float64")
