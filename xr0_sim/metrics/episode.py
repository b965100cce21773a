"""One row of figures per episode, from its tick log and its result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ARMS, ENV_ACTION_DIM
from xr0_sim.metrics.columns import JAW_COLUMNS, JOINT_COLUMNS
from xr0_sim.metrics.compute import compute_figures
from xr0_sim.metrics.motion import (
    point_speed,
    rms_joint_jerk,
    rms_point_jerk,
    spectral_arc_length,
)
from xr0_sim.metrics.repetition import LOOP, most_closings
from xr0_sim.metrics.schedule import schedule_figures
from xr0_sim.metrics.seam import jump_summary, seam_jumps
from xr0_sim.metrics.staleness import staleness
from xr0_sim.runtime.episode_ports import EpisodeResult
from xr0_sim.runtime.tick_record import HANDOVER_ROWS

Columns = Mapping[str, NDArray]
SECONDS_PER_MINUTE = 60.0


def episode_metrics(
    result: EpisodeResult, columns: Columns, control_hz: float, pieces: str | None = None
) -> dict[str, bool | float | int | None]:
    """Figures of one episode; keys end in their unit.

    Args:
        result: Result of the episode.
        columns: Its tick log, see `xr0_sim.record.ticklog.TICK_COLUMNS`.
        control_hz: Control rate [Hz].
        pieces: What the task counts, e.g. ``"bricks"``: the figure ``bricks_per_min`` is then
            ``result.info["pieces"]`` per simulated minute.

    Returns:
        Flat row; None or NaN where a figure does not exist for this episode.
    """
    row: dict[str, bool | float | int | None] = {
        "seed": result.seed,
        "success": result.success,
        "progress": result.progress,
        "duration_s": result.duration_s,
        "time_to_success_s": result.duration_s if result.success else None,
        "model_calls": int((columns["started"] >= 0).sum()),
    }
    if pieces is not None and result.duration_s > 0:
        minutes = result.duration_s / SECONDS_PER_MINUTE
        row[f"{pieces}_per_min"] = float(result.info["pieces"]) / minutes
    if len(columns["tick"]):
        row |= _timing(columns)
        row |= compute_figures(columns, control_hz)
        row |= schedule_figures(columns, control_hz)
        row |= _seams(columns, control_hz)
        row |= _motion(columns, control_hz)
        row |= _repetition(columns)
    return row


def _timing(columns: Columns) -> dict[str, float | int]:
    stale = staleness(columns["age_ticks"], columns["hold"])
    begun = columns["started"] >= 0
    delivered = columns["delivered"] >= 0
    overrun = np.asarray(columns["overrun"], dtype=bool)
    dropped = np.asarray(columns.get("dropped", 0 * delivered)) > 0
    # Of several that arrive in one tick some may be dropped; what was placed acts.
    placed = delivered & (~dropped | np.isin(columns["delivered"], columns["chunk_id"]))
    return {
        **vars(stale),
        "latency_mean_s": _mean(columns["latency_s"][begun]),
        "d_floor_mean_ticks": _mean(columns["d_floor"][begun]),
        "d_ceil_mean_ticks": _mean(columns["d_ceil"][begun]),
        "prefix_mean_steps": _mean(columns["prefix_steps"][begun]),
        "overrun_share": _mean(overrun[placed]),
    }


def _seams(columns: Columns, control_hz: float) -> dict[str, float | int]:
    seams = np.asarray(columns["seam"], dtype=bool)
    gap = columns["seam_gap"][seams].reshape(-1, HANDOVER_ROWS, ENV_ACTION_DIM)
    jumps = seam_jumps(gap, control_hz)
    out: dict[str, float | int] = {"seams": len(jumps)}
    for name, unit in (("position", "rad"), ("velocity", "rad_s"), ("acceleration", "rad_s2")):
        summary = jump_summary(getattr(jumps, name))
        out[f"seam_{name}_mean_{unit}"] = summary.mean
        out[f"seam_{name}_p95_{unit}"] = summary.p95
    return out


def _motion(columns: Columns, control_hz: float) -> dict[str, float]:
    tools = columns["tool_pos"].reshape(-1, len(ARMS), 3)
    out: dict[str, float] = {}
    for arm, path in zip(ARMS, np.moveaxis(tools, 1, 0), strict=True):
        out[f"tool_jerk_{arm}_m_s3"] = rms_point_jerk(path, control_hz)
        out[f"tool_sparc_{arm}"] = spectral_arc_length(point_speed(path, control_hz), control_hz)
    jerks = np.array([out[f"tool_jerk_{arm}_m_s3"] for arm in ARMS])
    out["tool_jerk_m_s3"] = float(np.sqrt((jerks**2).mean()))
    out["joint_jerk_rad_s3"] = rms_joint_jerk(columns["joint_pos"], control_hz)
    commands = columns["action"][:, JOINT_COLUMNS]
    out["command_jerk_rad_s3"] = rms_joint_jerk(commands, control_hz)
    return out


def _repetition(columns: Columns) -> dict[str, bool | int]:
    tools = columns["tool_pos"].reshape(-1, len(ARMS), 3)
    most = most_closings(columns["action"][:, JAW_COLUMNS], tools)
    return {"repeated_grasps": most, "loops": most >= LOOP}


def _mean(values: NDArray) -> float:
    return float(np.mean(values)) if len(values) else np.nan
