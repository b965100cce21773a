"""What an episode's inferences cost, so that methods can be compared at matched compute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

TERA = 1e12


def compute_figures(columns: Mapping[str, NDArray], control_hz: float) -> dict[str, float | int]:
    """Calls, arithmetic and load of one episode.

    ``device_load`` is the mean number of inferences under way: the time that the episode's
    inferences, and the corrections of its actions, take within it over the time it takes. One
    device that is always busy has 1; what runs several at a time (`pipelined`, `two_rate`,
    `corrected`) can exceed 1.

    Args:
        columns: Tick log of at least one tick, see `xr0_sim.record.ticklog`; one without the
            columns ``refresh``, ``lost``, ``dropped``, ``flops`` and ``correction_s`` has none of
            these and unknown costs.
        control_hz: Control rate [Hz].

    Returns:
        ``refreshes``; ``lost_chunks``; ``dropped_chunks``, which arrived and were not placed;
        ``corrections``, actions that were corrected within their tick; ``compute_tflop``, the
        floating-point operations of all inferences and corrections (a multiply-add counts two)
        [10^12], NaN where the model does not tell those of each; ``tflop_per_s``, the same per
        simulated second; ``device_load``.
    """
    begun = np.asarray(columns["started"]) >= 0
    ticks = len(begun)
    unknown = np.full(ticks, np.nan)
    spent = np.asarray(columns.get("flops", unknown), dtype=np.float64)[begun].sum() / TERA
    mended = corrected(columns)
    if mended.any():
        spent += np.asarray(columns["correction_flops"], dtype=np.float64)[mended].sum() / TERA
    left = ticks - np.flatnonzero(begun)
    busy = np.minimum(np.asarray(columns["latency_s"])[begun] * control_hz, left).sum()
    if mended.any():
        busy += np.asarray(columns["correction_s"])[mended].sum() * control_hz
    return {
        "refreshes": int(_marked(columns, "refresh").sum()),
        "lost_chunks": int(_marked(columns, "lost").sum()),
        "dropped_chunks": int(np.sum(columns.get("dropped", 0))),
        "corrections": int(mended.sum()),
        "compute_tflop": float(spent),
        "tflop_per_s": float(spent * control_hz / ticks),
        "device_load": float(busy / ticks),
    }


def looks(columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """(K,) ticks whose capture shows new pictures to what is executed.

    A refresh of the action expert goes on with older pictures, a lost chunk is never executed. A
    correction looks in its own tick.
    """
    return chunk_looks(columns) | corrected(columns)


def chunk_looks(columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """(K,) those among them that show their pictures to a chunk."""
    begun = np.asarray(columns["started"]) >= 0
    return begun & ~_marked(columns, "refresh") & ~_marked(columns, "lost")


def corrected(columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """(K,) ticks whose action was corrected by the observation of the tick itself."""
    spent = columns.get("correction_s")
    if spent is None:
        return np.zeros(len(columns["started"]), dtype=bool)
    return ~np.isnan(np.asarray(spent, dtype=np.float64))


def waits(columns: Mapping[str, NDArray]) -> NDArray[np.int64]:
    """(K,) ticks from a look to the first free action that it can change: max(d, p).

    None from a correction to its own action; of no meaning in ticks without a look.
    """
    frozen = np.maximum(np.asarray(columns["d_ceil"]), np.asarray(columns["prefix_steps"]))
    return np.where(corrected(columns), 0, frozen)


def _marked(columns: Mapping[str, NDArray], name: str) -> NDArray[np.bool_]:
    begun = np.asarray(columns["started"]) >= 0
    return begun & np.asarray(columns.get(name, np.zeros(len(begun), dtype=bool)), dtype=bool)
