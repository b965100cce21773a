"""Reaction time: how long until the commands show that the robot has noticed an event.

Every perturbed run has a twin with the same seed and noise and no event. Both command the same up
to the event; the first control tick whose command differs from the twin's by more than a tolerance
ends the reaction. An episode that ends before is censored.

Of several events each has its own reaction, in the window from it to the next one. The twin of a
later event is the run with the earlier events alone; after an undisturbed twin has been left behind
it cannot tell anything about a later event.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.columns import IS_JAW
from xr0_sim.metrics.statistics import Interval, wilson

JOINT_TOLERANCE_RAD = 0.01
JAW_TOLERANCE = 0.05


@dataclass(frozen=True)
class Reaction:
    """Reaction to one event.

    Attributes:
        seconds: Reaction time [s]; None if censored.
        observed_s: How long both runs could be compared after the event [s].
        lower_bound_s: Earliest reaction the executor's timing allowed [s]; None if no inference
            was captured after the event.
        comparable: Whether the twin commanded the same up to the event; if not, nothing is known.
    """

    seconds: float | None
    observed_s: float
    lower_bound_s: float | None
    comparable: bool = True


@dataclass(frozen=True)
class ReactionSummary:
    """Reactions of several episodes.

    Attributes:
        median_s: Median [s], censored episodes counted as slower than all others; infinite if
            half or more are censored.
        p95_s: 95th percentile [s], likewise.
        censored: Share of censored episodes with its interval.
        median_lower_bound_s: Median of the lower bounds [s].
    """

    median_s: float
    p95_s: float
    censored: Interval
    median_lower_bound_s: float


def earliest_reaction_ticks(
    event_tick: int,
    started: ArrayLike,
    d_ceil: ArrayLike,
    prefix_steps: ArrayLike,
    blind: ArrayLike | None = None,
    corrected: ArrayLike | None = None,
) -> int | None:
    """Ticks from the event to the first command it can have changed.

    Time to a capture, plus the inference, plus what is left of the frozen prefix when the chunk
    takes over; the smallest over all captures, since a later one may overtake. An event in tick t
    is seen by captures after t. A refresh sees no new picture, so it is none of them; what an event
    does to the arms themselves may show in its proprioception before. A correction within its tick
    is a capture without delay.

    Args:
        event_tick: Tick of the event.
        started: (K,) tick-log column, -1 where no inference was captured.
        d_ceil: (K,) delay of that inference [ticks].
        prefix_steps: (K,) length of its prefix [ticks].
        blind: (K,) whether it shows no new picture (a refresh) or never arrives; None for none.
        corrected: (K,) whether the tick's own observation corrected its action; None for none.

    Returns:
        None if no picture was captured after the event.
    """
    looks = np.asarray(started) >= 0
    if blind is not None:
        looks = looks & ~np.asarray(blind, dtype=bool)
    captures = np.flatnonzero(looks)
    captures = captures[captures > event_tick]
    frozen = np.maximum(np.asarray(d_ceil)[captures], np.asarray(prefix_steps)[captures])
    shown = captures + frozen
    if corrected is not None:
        mended = np.flatnonzero(np.asarray(corrected, dtype=bool))
        shown = np.concatenate([shown, mended[mended > event_tick]])
    return int(shown.min()) - event_tick if len(shown) else None


def differences(
    actions: ArrayLike, twin_actions: ArrayLike, event_tick: int, until_tick: int | None = None
) -> NDArray[np.float64]:
    """How far a run's commands lie from its twin's, from an event on.

    Args:
        actions: (K, 14) commands of the perturbed run, row k = tick k.
        twin_actions: (K', 14) commands of the twin.
        event_tick: Tick in which the event fired.
        until_tick: Tick before which the comparison ends; None for the end of the shorter run.

    Returns:
        (n, 14) absolute differences.

    Raises:
        ConfigError: Other shapes, an event beyond the run, or a twin that differs before it.
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (actions, twin_actions))
    if any(x.ndim != 2 or x.shape[1] != ENV_ACTION_DIM for x in (a, b)):
        raise ConfigError(
            f"reaction: expected two arrays (K, {ENV_ACTION_DIM}), got {a.shape} and {b.shape}"
        )
    if not 0 <= event_tick < len(a):
        raise ConfigError(f"reaction: expected an event tick in 0..{len(a) - 1}, got {event_tick}")
    shared = min(len(a), len(b), len(a) if until_tick is None else until_tick)
    if min(len(a), len(b)) < event_tick or not np.array_equal(a[:event_tick], b[:event_tick]):
        raise ConfigError(
            "reaction: expected a twin with the same commands before the event; "
            "run both with the same seed, executor and model"
        )
    return np.abs(a[event_tick:shared] - b[event_tick:shared])


def reaction(
    actions: ArrayLike,
    twin_actions: ArrayLike,
    event_tick: int,
    control_hz: float,
    *,
    earliest_ticks: int | None = None,
    until_tick: int | None = None,
    joint_tolerance_rad: float = JOINT_TOLERANCE_RAD,
    jaw_tolerance: float = JAW_TOLERANCE,
) -> Reaction:
    """Reaction time of one perturbed run against its twin.

    Args:
        actions: (K, 14) commands of the perturbed run, row k = tick k.
        twin_actions: (K', 14) commands of the twin.
        event_tick: Tick in which the event fired.
        control_hz: Control rate [Hz].
        earliest_ticks: `earliest_reaction_ticks` of the perturbed run.
        until_tick: Tick in which the next event fired; a later difference is not its reaction.
        joint_tolerance_rad: Joint commands differ beyond this [rad].
        jaw_tolerance: Jaw commands differ beyond this [opening fraction].
    """
    apart = differences(actions, twin_actions, event_tick, until_tick)
    tolerance = np.where(IS_JAW, jaw_tolerance, joint_tolerance_rad)
    hits = np.flatnonzero((apart > tolerance).any(axis=1))
    return Reaction(
        seconds=float(hits[0]) / control_hz if len(hits) else None,
        observed_s=len(apart) / control_hz,
        lower_bound_s=None if earliest_ticks is None else earliest_ticks / control_hz,
    )


def event_reactions(
    actions: ArrayLike,
    twins: Sequence[ArrayLike],
    event_ticks: Sequence[int],
    control_hz: float,
    *,
    started: ArrayLike,
    d_ceil: ArrayLike,
    prefix_steps: ArrayLike,
    blind: ArrayLike | None = None,
    corrected: ArrayLike | None = None,
) -> tuple[Reaction, ...]:
    """Reaction to each event of one run, in the window from it to the next.

    Events of one tick share their window and their reaction.

    Args:
        actions: (K, 14) commands of the run.
        twins: For each event, the commands (K', 14) of the run with the earlier events alone; one
            for all where there is only the undisturbed run. A twin that differs before an event
            makes its reaction not comparable.
        event_ticks: Ticks of the events, in order.
        control_hz: Control rate [Hz].
        started: (K,) tick-log column of the run, see `earliest_reaction_ticks`.
        d_ceil: (K,) likewise.
        prefix_steps: (K,) likewise.
        blind: (K,) likewise.
        corrected: (K,) likewise.

    Raises:
        ConfigError: Ticks out of order, or another number of twins than one or one per event.
    """
    ticks = [int(tick) for tick in event_ticks]
    if ticks != sorted(ticks):
        raise ConfigError(f"reaction: expected event ticks in order, got {ticks}")
    if len(twins) not in (1, len(ticks)):
        raise ConfigError(
            f"reaction: expected one twin, or one for each of {len(ticks)} events, got {len(twins)}"
        )
    run = np.asarray(actions, dtype=np.float64)
    found = []
    for k, tick in enumerate(ticks):
        twin = np.asarray(twins[k if len(twins) > 1 else 0], dtype=np.float64)
        later = [other for other in ticks if other > tick]
        earliest = earliest_reaction_ticks(tick, started, d_ceil, prefix_steps, blind, corrected)
        if k > 0 and (len(twin) < tick or not np.array_equal(run[:tick], twin[:tick])):
            bound = None if earliest is None else earliest / control_hz
            found.append(Reaction(None, 0.0, bound, comparable=False))
            continue
        until = later[0] if later else None
        found.append(
            reaction(run, twin, tick, control_hz, earliest_ticks=earliest, until_tick=until)
        )
    return tuple(found)


def _quantile(values: np.ndarray, share: float) -> float:
    """Smallest value that at least ``share`` of the sample does not exceed; allows infinity."""
    if len(values) == 0:
        return math.nan
    return float(np.sort(values)[max(0, math.ceil(share * len(values)) - 1)])


def summarise_reactions(reactions: Sequence[Reaction]) -> ReactionSummary:
    """Median, 95th percentile and censored share of the reactions that are comparable."""
    reactions = [found for found in reactions if found.comparable]
    seconds = np.array([math.inf if r.seconds is None else r.seconds for r in reactions])
    bounds = np.array([r.lower_bound_s for r in reactions if r.lower_bound_s is not None])
    return ReactionSummary(
        median_s=_quantile(seconds, 0.5),
        p95_s=_quantile(seconds, 0.95),
        censored=wilson(int(np.isinf(seconds).sum()), len(seconds)),
        median_lower_bound_s=_quantile(bounds, 0.5),
    )
