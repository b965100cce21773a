"""What a schedule of captures allows: how soon any event can be answered, before it is played.

A *look* is a capture whose pictures the policy sees. A refresh of the action expert is none: it
goes on with the pictures of an earlier capture; nor is one whose chunk is lost. An action that is
corrected by its own tick's pictures is a look without delay (d = p = 0). With s ticks between
looks, a delay of d ticks and a prefix of p an event at a random moment waits s/2 ticks for the next
look on average, s at worst, and max(d, p) ticks for its first free row ::

    tick      k                   k+s                k+s+max(d,p)
    look      ^         event      ^      inference   first command that can show it
                        |--  s/2 --|---- max(d, p) ---|
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.metrics.compute import chunk_looks, corrected, looks, waits

SERIAL = 1.5
"""Mean reaction of one inference at a time, started back to back, in latencies: half of one until
the next begins, and that one."""


def schedule_figures(columns: Mapping[str, NDArray], control_hz: float) -> dict[str, float]:
    """The law of the episode's own schedule, and how stale its actions were.

    Args:
        columns: Tick log of at least one tick, see `xr0_sim.record.ticklog`.
        control_hz: Control rate [Hz].

    Returns:
        ``capture_spacing_mean_ticks`` (s, of looks), ``expected_reaction_s`` =
        (s/2 + max(d, p)) / f, ``worst_reaction_s`` = (s + max(d, p)) / f with the mean of
        max(d, p), ``serial_floor_s`` = 1.5 L with the mean latency of a chunk's look,
        ``stale_share``, see `stale_ticks`, and ``effective_control_hz``, ticks with an action per
        second. NaN with fewer looks than are needed.
    """
    seen = looks(columns)
    places = np.flatnonzero(seen)
    spacing = float(np.diff(places).mean()) if len(places) > 1 else np.nan
    wait = float(waits(columns)[seen].mean()) if len(places) else np.nan
    latency = np.asarray(columns["latency_s"])[chunk_looks(columns)]
    held = np.asarray(columns["hold"], dtype=bool)
    ages = np.where(corrected(columns), 0, columns["age_ticks"])
    return {
        "capture_spacing_mean_ticks": spacing,
        "expected_reaction_s": (spacing / 2 + wait) / control_hz,
        "worst_reaction_s": (spacing + wait) / control_hz,
        "serial_floor_s": SERIAL * float(latency.mean()) if len(latency) else np.nan,
        "stale_share": float(stale_ticks(seen, ages, held).mean()),
        "effective_control_hz": control_hz * float((~held).mean()),
    }


def stale_ticks(looked: ArrayLike, age_ticks: ArrayLike, hold: ArrayLike) -> NDArray[np.bool_]:
    """(K,) ticks that execute an action although a newer picture had been captured before.

    Of an inference of d ticks in every s these are d: those that the newest look still takes. A
    held tick executes no action and is not stale.

    Args:
        looked: (K,) whether a look was captured in the tick, see `looks`.
        age_ticks: (K,) age of the action.
        hold: (K,) whether the tick held.
    """
    seen = np.asarray(looked, dtype=bool)
    ticks = np.arange(len(seen))
    newest = np.maximum.accumulate(np.where(seen, ticks, -1))
    made_of = ticks - np.asarray(age_ticks)
    return ~np.asarray(hold, dtype=bool) & (made_of < newest)


def open_loop_ticks(event_tick: int, looked: ArrayLike) -> int | None:
    """Ticks from an event to the next look, in which no picture can show it; None without one.

    An event in tick t is seen by captures after t.
    """
    after = np.flatnonzero(np.asarray(looked, dtype=bool))
    after = after[after > event_tick]
    return int(after[0]) - event_tick if len(after) else None
