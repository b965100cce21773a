"""Seams: how far two plans disagree where the robot changes from one chunk to the next.

At a hand-over in tick s the command curve leaves the outgoing plan and continues on the incoming
one. With the gap g = incoming - outgoing in ticks s, s+1, s+2 and the control rate f, the jumps of
the spliced curve are ::

    position      g_s
    velocity     (g_{s+1} - g_s) f
    acceleration (g_{s+2} - 2 g_{s+1} + g_s) f^2

All vanish if the new chunk continues the old one, however fast the robot moves; plain differences
of the executed commands would not. `xr0_sim.runtime.tick_record.Handover` says what an outgoing
plan is once its chunk has ended or the robot holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.columns import JOINT_COLUMNS
from xr0_sim.runtime.tick_record import HANDOVER_ROWS


@dataclass(frozen=True)
class SeamJumps:
    """Signed jumps of every hand-over, one row each, columns as in an action.

    Attributes:
        position: (N, 14) [rad; opening fraction].
        velocity: (N, 14) [rad/s; 1/s].
        acceleration: (N, 14) [rad/s^2; 1/s^2].
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    acceleration: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of hand-overs."""
        return len(self.position)


@dataclass(frozen=True)
class JumpSummary:
    """Absolute jumps of one kind; NaN without hand-overs.

    Attributes:
        mean: Over all hand-overs and all twelve joints.
        p95: 95th percentile over the same.
        column_mean: (14,) mean per action column.
        column_p95: (14,) 95th percentile per action column.
    """

    mean: float
    p95: float
    column_mean: NDArray[np.float64]
    column_p95: NDArray[np.float64]


def seam_jumps(gap: ArrayLike, control_hz: float) -> SeamJumps:
    """Jumps from the gaps between both plans.

    Args:
        gap: (N, 3, 14) incoming minus outgoing plan in the first three ticks of each hand-over.
        control_hz: Control rate [Hz].
    """
    g = np.asarray(gap, dtype=np.float64)
    if g.ndim != 3 or g.shape[1:] != (HANDOVER_ROWS, ENV_ACTION_DIM):
        raise ConfigError(
            f"seam gap: expected shape (N, {HANDOVER_ROWS}, {ENV_ACTION_DIM}), got {g.shape}"
        )
    return SeamJumps(
        position=g[:, 0],
        velocity=(g[:, 1] - g[:, 0]) * control_hz,
        acceleration=(g[:, 2] - 2 * g[:, 1] + g[:, 0]) * control_hz**2,
    )


def jump_summary(jumps: ArrayLike) -> JumpSummary:
    """Mean and 95th percentile of the absolute values of (N, 14) jumps."""
    size = np.abs(np.asarray(jumps, dtype=np.float64))
    if len(size) == 0:
        unknown = np.full(ENV_ACTION_DIM, np.nan)
        return JumpSummary(np.nan, np.nan, unknown, unknown)
    joints = size[:, JOINT_COLUMNS]
    return JumpSummary(
        mean=float(joints.mean()),
        p95=float(np.percentile(joints, 95)),
        column_mean=size.mean(axis=0),
        column_p95=np.percentile(size, 95, axis=0),
    )
