"""The figures of ``xr0-sim bench physics``, and what each is held to, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.benchmarks.report import Measure
from xr0_sim.metrics.statistics import wilson


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: Key in the JSON form.
        label: What people read.
        unit: Its unit; "%" shows a share in percent.
        of: Key in the episodes' rows; the name itself if empty.
        over: From the values of all episodes, or of all their samples, to one.
        limit: What it is held to; None for information only.
        sense: Which side of the limit is good.
        reason: Where the limit comes from.
    """

    name: str
    label: str
    unit: str = ""
    of: str = ""
    over: Callable[[Sequence[float]], float] = max
    limit: float | None = None
    sense: Literal["at most", "at least"] = "at most"
    reason: str = ""

    def measure(self, rows: Sequence[Mapping[str, Any]]) -> Measure | None:
        """The figure over some episodes; None where none of them has it."""
        values = [row[self.of or self.name] for row in rows if (self.of or self.name) in row]
        samples = [v for value in values for v in (value if isinstance(value, list) else [value])]
        if not samples:
            return None
        scale = 100.0 if self.unit == "%" else 1.0
        return Measure(
            self.name,
            self.label,
            scale * float(self.over(samples)),
            self.unit,
            n=len(samples),
            target=self.limit,
            sense=self.sense,
            reason=self.reason,
        )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95))


def _share_late(loads: Sequence[float]) -> float:
    return float(np.mean(np.array(loads) > LATE))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


LATE = 1.15
"""A clutch that carried more than this many times its limit opened late."""
SUCCESS = {
    "block_dismantling": lambda kwargs: 95.0 if kwargs["n_bricks"] <= 4 else 85.0,
    "towel_folding": lambda kwargs: {"half": 95.0, "quarter": 80.0, "flatten": 70.0, "full": 60.0}[
        kwargs["level"]
    ],
}
"""Task -> what its expert is held to [%], from the environment's arguments."""

FIGURES: tuple[Figure, ...] = (
    Figure(
        "broke",
        "episodes in which the physics broke",
        over=sum,
        limit=0,
        reason="a warning or a divergence makes an episode invalid",
    ),
    Figure(
        "depth_brick_table_mm",
        "deepest contact, brick and table",
        "mm",
        limit=5.0,
        reason="chosen: a quarter of a brick's height, at a hard landing",
    ),
    Figure(
        "depth_finger_brick_mm",
        "deepest contact, finger and brick",
        "mm",
        limit=3.0,
        reason="chosen: half the thickness of a rubber pad",
    ),
    Figure(
        "depth_arm_brick_mm",
        "deepest contact, arm and brick",
        "mm",
        limit=3.0,
        reason="chosen: as the fingers",
    ),
    Figure(
        "depth_brick_brick_mm",
        "deepest contact, brick and brick",
        "mm",
        limit=2.0,
        reason="chosen: a wall of a brick's plastic is 1.5 mm",
    ),
    Figure(
        "depth_brick_tray_mm",
        "deepest contact, brick and tray",
        "mm",
        limit=5.0,
        reason="chosen: as on the table",
    ),
    Figure(
        "depth_finger_tray_mm",
        "deepest contact, finger and tray",
        "mm",
        limit=3.0,
        reason="chosen: half the thickness of a rubber pad",
    ),
    Figure(
        "depth_finger_table_mm",
        "deepest contact, finger and table",
        "mm",
        limit=3.0,
        reason="chosen: half the thickness of a rubber pad",
    ),
    Figure(
        "depth_arm_table_mm",
        "deepest contact, arm and table",
        "mm",
        limit=1.0,
        reason="chosen: links are of metal",
    ),
    Figure(
        "depth_arm_arm_mm",
        "deepest contact, arm and arm",
        "mm",
        limit=1.0,
        reason="chosen: links are of metal",
    ),
    Figure(
        "depth_cloth_table_mm",
        "deepest contact, cloth and table",
        "mm",
        limit=3.0,
        reason="half the contact thickness: beyond it the middle of the cloth is below the surface",
    ),
    Figure(
        "depth_finger_cloth_mm",
        "deepest contact, finger and cloth",
        "mm",
        limit=3.0,
        reason="half the contact thickness: beyond it a pad is through the middle of the cloth",
    ),
    Figure(
        "point_below_table_mm",
        "deepest mass point under the table's surface",
        "mm",
        limit=0.5,
        reason="none may be; half a millimetre is what the solver leaves (chosen)",
    ),
    Figure(
        "force_finger_table_n",
        "largest force of one hand's fingers on the table",
        "N",
        limit=100.0,
        reason="chosen: twice what the shoulder's 20 N·m press at 0.4 m",
    ),
    Figure(
        "force_arm_n",
        "largest sum of contact forces on one arm",
        "N",
        limit=150.0,
        reason="chosen: three times what the shoulder's 20 N·m press at 0.4 m, as an impact",
    ),
    Figure(
        "speed_ratio",
        "fastest joint over its limit",
        limit=1.05,
        reason="the maker's speed; 5 % for the servo's overshoot (chosen)",
    ),
    Figure(
        "torque_limit_share",
        "substeps with the torque at its limit, worst joint and episode",
        "%",
        limit=10.0,
        reason="chosen: a joint at its limit does not follow its command",
    ),
    Figure(
        "carry_error_median_mm",
        "tool error while carrying, median",
        "mm",
        of="carry_errors_mm",
        over=_median,
        limit=5.0,
        reason="chosen: a brick's clearance in the jaw",
    ),
    Figure(
        "carry_error_p95_mm",
        "tool error while carrying, 95th percentile",
        "mm",
        of="carry_errors_mm",
        over=_p95,
    ),
    Figure(
        "late_breaks_share",
        f"clutches that opened above {LATE} × their limit",
        "%",
        of="break_loads",
        over=_share_late,
        limit=10.0,
        reason="the limit is meant; a tenth is left to impacts within a substep",
    ),
    Figure(
        "worst_break",
        "largest load of a clutch that opened, over its limit",
        of="break_loads",
    ),
    Figure(
        "stretch_percent",
        "edge stretch of the cloth, largest",
        "percent",
        limit=10.0,
        reason="cotton terry gives some 10 % before it is damaged (chosen)",
    ),
    Figure(
        "compression_percent",
        "edge compression of the cloth, largest",
        "percent",
        limit=10.0,
        reason="as stretch; beyond it cloth buckles",
    ),
    Figure(
        "unsupported_points_share",
        "mass points on nothing beyond the table, worst tick",
        "%",
        limit=1.0,
        reason="a table ends at its edge",
    ),
    Figure(
        "unsupported_ticks_share",
        "ticks with such points, worst episode",
        "%",
    ),
    Figure(
        "ends_crossed",
        "episodes that end with the towel through itself",
        over=sum,
        limit=0,
        reason="cloth does not pass through itself",
    ),
    Figure(
        "crossed_ticks_share",
        "ticks with the towel through itself, mean",
        "%",
        over=_mean,
    ),
    Figure(
        "wrinkle_0s_mm",
        "two wrinkles, height when laid down",
        "mm",
    ),
    Figure(
        "wrinkle_0.2s_mm",
        "two wrinkles, height after 0.2 s",
        "mm",
        limit=15.0,
        sense="at least",
        reason="chosen: cotton keeps a third of a wrinkle or more",
    ),
    Figure(
        "wrinkle_2s_mm",
        "two wrinkles, height after 2 s",
        "mm",
        limit=12.0,
        sense="at least",
        reason="chosen: cotton keeps a third of a wrinkle or more",
    ),
    Figure(
        "energy_gain_j",
        "energy that a physics step adds without work, largest",
        "J",
    ),
    Figure(
        "unconverged_share",
        "substeps that the solver left at its last iteration, worst episode",
        "%",
    ),
    Figure(
        "dense_sparse",
        "accelerations, dense against sparse algebra, relative",
        limit=1e-8,
        reason="the same mathematics; MuJoCo 4.0.0's sparse Newton errs in some scenes",
    ),
)


def measures(
    task: str,
    env_kwargs: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    factor: float | None,
) -> list[Measure]:
    """The table of a level.

    Args:
        task: Name of the task.
        env_kwargs: Its arguments.
        rows: Figures of the episodes.
        factor: Real-time factor that its physics is held to, or None.
    """
    found = [_success(task, env_kwargs, rows)]
    found += [m for m in (figure.measure(rows) for figure in FIGURES) if m is not None]
    speed = Figure(
        "physics_real_time_factor",
        "real-time factor of the physics alone",
        over=_median,
        limit=factor,
        sense="at least",
        reason="as in bench env",
    ).measure(rows)
    return [*found, speed] if speed else found


def _success(
    task: str, env_kwargs: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Measure:
    done = sum(bool(row["success"]) for row in rows if "success" in row)
    n = sum("success" in row for row in rows)
    rate = wilson(done, n)
    limit = SUCCESS.get(task)
    return Measure(
        "success",
        "success of the expert",
        100.0 * done / n,
        "%",
        low=100.0 * rate.low,
        high=100.0 * rate.high,
        n=n,
        target=None if limit is None else limit(env_kwargs),
        sense="reaches",
        reason="what demonstrations are worth; the upper end of the interval must reach it",
    )
