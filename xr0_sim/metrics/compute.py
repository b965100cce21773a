"""What an episode's inferences cost, so that methods can be compared at matched compute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

TERA = 1e12


def compute_figures(columns: Mapping[str, NDArray], control_hz: float) -> dict[str, float | int]:
    """Calls, arithmetic and load of one episode.

    ``device_load`` is the mean number of inferences under way: the time that the episode's
    inferences take within it over the time it takes. One device that is always busy has 1; what
    runs several at a time (`pipelined`, `two_rate`) can exceed 1.

    Args:
        columns: Tick log of at least one tick, see `xr0_sim.record.ticklog`; one without the
            columns ``refresh``, ``lost`` and ``flops`` has none of these and unknown costs.
        control_hz: Control rate [Hz].

    Returns:
        ``refreshes``; ``lost_chunks``; ``compute_tflop``, the floating-point operations of all
        inferences (a multiply-add counts two) [10^12], NaN where the model does not tell those of
        each; ``tflop_per_s``, the same per simulated second; ``device_load``.
    """
    begun = np.asarray(columns["started"]) >= 0
    ticks = len(begun)
    unknown = np.full(ticks, np.nan)
    spent = np.asarray(columns.get("flops", unknown), dtype=np.float64)[begun].sum() / TERA
    left = ticks - np.flatnonzero(begun)
    busy = np.minimum(np.asarray(columns["latency_s"])[begun] * control_hz, left)
    return {
        "refreshes": int(_marked(columns, "refresh").sum()),
        "lost_chunks": int(_marked(columns, "lost").sum()),
        "compute_tflop": float(spent),
        "tflop_per_s": float(spent * control_hz / ticks),
        "device_load": float(busy.sum() / ticks),
    }


def looks(columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """(K,) ticks whose capture shows new pictures to chunks that arrive.

    A refresh of the action expert goes on with older pictures, a lost chunk is never executed.
    """
    begun = np.asarray(columns["started"]) >= 0
    return begun & ~_marked(columns, "refresh") & ~_marked(columns, "lost")


def _marked(columns: Mapping[str, NDArray], name: str) -> NDArray[np.bool_]:
    begun = np.asarray(columns["started"]) >= 0
    return begun & np.asarray(columns.get(name, np.zeros(len(begun), dtype=bool)), dtype=bool)
