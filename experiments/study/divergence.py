"""How far the commands of disturbed episodes lie from those of their twins, tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.metrics.columns import JOINT_COLUMNS
from xr0_sim.metrics.reaction import differences

if TYPE_CHECKING:
    from pandas import DataFrame


def divergence(actions: ArrayLike, twin_actions: ArrayLike, event_tick: int) -> NDArray[np.float64]:
    """(n,) largest difference of a joint command [rad] from the event to the end of the shorter.

    Args:
        actions: (K, 14) commands of the disturbed run.
        twin_actions: (K', 14) commands of its twin, equal before the event.
        event_tick: Tick in which the event fired.
    """
    return differences(actions, twin_actions, event_tick)[:, JOINT_COLUMNS].max(axis=1)


def divergence_frame(curves: Sequence[NDArray[np.float64]], control_hz: float) -> DataFrame:
    """Median and quartiles over episodes, for as long as half of them go on.

    Args:
        curves: One of `divergence` per episode.
        control_hz: Control rate [Hz].

    Returns:
        Columns ``time_s`` since the event, ``n`` episodes that go on so long, ``median_rad``,
        ``low_rad`` and ``high_rad``.
    """
    import pandas as pd

    lengths = sorted((len(curve) for curve in curves), reverse=True)
    shown = lengths[(len(lengths) - 1) // 2] if lengths else 0
    rows = []
    for tick in range(shown):
        there = np.array([curve[tick] for curve in curves if len(curve) > tick])
        low, median, high = np.quantile(there, [0.25, 0.5, 0.75])
        rows.append((tick / control_hz, len(there), median, low, high))
    return pd.DataFrame(rows, columns=["time_s", "n", "median_rad", "low_rad", "high_rad"])
