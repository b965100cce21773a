"""What an event cost: success of the runs with it against that of their undisturbed twins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xr0_sim.metrics.paired_tests import mcnemar_exact
from xr0_sim.metrics.statistics import Interval, paired_rate_difference

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class TwinDrop:
    """Paired drop of success.

    Attributes:
        interval: Success minus the twin's, with the interval of Agresti and Min.
        p: Exact p-value of McNemar.
    """

    interval: Interval
    p: float


def twin_drop(rows: DataFrame) -> TwinDrop | None:
    """Success of event runs minus that of their twins: same seed, same delays, same noise.

    Args:
        rows: Rows with ``success`` and ``twin_success``; those without a twin are left out.

    Returns:
        None if no valid row has a twin.
    """
    if "twin_success" not in rows:
        return None
    known = rows[rows["valid"].astype(bool)].dropna(subset=["success", "twin_success"])
    if known.empty:
        return None
    own, twin = (known[name].astype(bool).to_numpy() for name in ("success", "twin_success"))
    return TwinDrop(paired_rate_difference(own, twin), mcnemar_exact(own, twin))
