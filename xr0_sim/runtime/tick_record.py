"""What the executor decided in one control tick, and what a chunk hand-over looked like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xr0_sim.runtime.timeline import PlacedChunk

NONE = -1
"""Marks an integer field that does not apply to a tick."""

HANDOVER_ROWS = 3
"""Ticks compared at a hand-over: enough for position, velocity and acceleration."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Both plans around the tick s in which a new chunk supplies its first action.

    Attributes:
        outgoing: (3, 14) what the robot would have been commanded in ticks s, s+1, s+2 had the
            new chunk not arrived: the rest of the old chunk, continued at constant velocity past
            its end; a held command stays held.
        incoming: (3, 14) what the new chunk commands in those ticks, continued likewise.
    """

    outgoing: NDArray[np.float64]
    incoming: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """(3, 14) incoming minus outgoing; zero if the new chunk continues the old one."""
        return self.incoming - self.outgoing


@dataclass(frozen=True, slots=True)
class TickRecord:
    """One tick of the executor; integer fields that do not apply are -1.

    Attributes:
        tick: Control tick k.
        time_ns: Start of the tick [ns].
        action: (14,) absolute targets executed during the tick, read-only.
        chunk_id: Number of the inference whose chunk supplied the action; -1 while holding.
        index: Row of that chunk.
        age_ticks: Tick minus the capture tick of that chunk.
        hold: No fresh action: the last command is repeated.
        queue: Consecutive further ticks that already have an action.
        inferring: An inference is under way after this tick's deliveries and starts.
        started: Number of the inference captured in this tick.
        latency_s: Its true latency [s]; NaN if none started. So for the next four fields, and for
            ``flops``.
        d_floor: Its delay, floor(L f) [ticks].
        d_ceil: Its delay, ceil(L f) [ticks]: the delay the controller lives with.
        estimated_ticks: What the estimator believed [ticks].
        prefix_steps: Length of the prefix it was given.
        delivered: Number of the inference whose chunk arrived in this tick.
        overrun: That inference took longer than its prefix covers (prefix strategies only).
        seam: The action is the first from a chunk other than the one executed before.
        handover: Both plans at a seam, else None.
        refresh: The inference captured in this tick runs the action expert alone, on the pictures
            of an earlier one.
        flops: Floating-point operations of that inference; NaN also where the model does not tell.
        lost: Its chunk never arrives.
        correction_s: Time that the correction of the action took within the tick [s]; NaN where it
            was not corrected.
        correction_flops: Floating-point operations of it; NaN also where the model does not tell.
        dropped: Chunks that arrived in this tick and were not placed.
    """

    tick: int
    time_ns: int
    action: NDArray[np.float64]
    chunk_id: int
    index: int
    age_ticks: int
    hold: bool
    queue: int
    inferring: bool
    started: int
    latency_s: float
    d_floor: int
    d_ceil: int
    estimated_ticks: int
    prefix_steps: int
    delivered: int
    overrun: bool
    seam: bool
    handover: Handover | None
    refresh: bool = False
    flops: float = float("nan")
    lost: bool = False
    correction_s: float = float("nan")
    correction_flops: float = float("nan")
    dropped: int = 0


def continued(chunk: PlacedChunk, index: int) -> NDArray[np.float64]:
    """Rows ``index .. index + 2`` of a chunk; past its end at constant velocity, (3, 14)."""
    rows = chunk.actions[index : index + HANDOVER_ROWS]
    missing = HANDOVER_ROWS - len(rows)
    if missing == 0:
        return rows
    last = chunk.actions[-1]
    step = last - chunk.actions[-2] if len(chunk.actions) > 1 else np.zeros_like(last)
    ahead = np.arange(1, missing + 1)[:, None]
    return np.concatenate([rows, last + ahead * step])
