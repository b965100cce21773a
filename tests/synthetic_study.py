"""Frames as a study gives them, drawn from a known law."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

FACTORS = {
    "strategy": ["sync", "naive_async", "prefix_async"],
    "latency": ["0ms", "80ms", "200ms"],
    "event": ["none", "shove"],
}
TICKS = {"0ms": 0, "80ms": 3, "200ms": 6}
COST = {"sync": 0.25, "naive_async": 0.12, "prefix_async": 0.04}
LIMIT_S = 60.0


def synthetic_frame(n=40, seed=0, factors=FACTORS, trainings=1, invalid=0.03):
    """A plausible study: sync loses most by latency, naive async jerks, a shove costs success."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=n)
    rows = []
    for training in range(trainings):
        luck = 0.3 * rng.normal()
        for levels in product(*factors.values()):
            told = dict(zip(factors, levels, strict=True))
            condition = ", ".join(f"{k}={v}" for k, v in told.items())
            for s in range(n):
                figures = _episode(rng, told, 1.2 + hard[s] + luck)
                valid = bool(rng.random() >= invalid)
                reason = (
                    "event did not fire: shove" if told["event"] == "shove" else "physics broke"
                )
                outcome = ("success" if figures["success"] else "failure") if valid else "invalid"
                rows.append(
                    told
                    | {"training": f"t{training}", "condition": condition, "seed": s}
                    | {"valid": valid, "invalid_reason": None if valid else reason}
                    | {"outcome": outcome, "digest": f"{s:064x}"}
                    | figures
                )
    frame = pd.DataFrame(rows)
    for name in ("success", "twin_success", "event_fired", "reaction_censored"):
        frame[name] = frame[name].astype("boolean")
    for name, levels in factors.items():
        frame[name] = pd.Categorical(frame[name], categories=levels, ordered=True)
    return frame


def _episode(rng, told, ease):
    strategy, ticks = told["strategy"], TICKS[told["latency"]]
    shoved, naive = told["event"] == "shove", told["strategy"] == "naive_async"
    ease = ease - ticks * COST[strategy]
    success = bool(ease - 0.6 * shoved + 0.8 * rng.normal() > 0)
    seconds = max(5.0, 20 + 3 * ticks * (strategy == "sync") + 4 * rng.normal())
    censored = bool(rng.random() < 0.1)
    reaction = 0.1 + ticks / 30 + 0.05 * rng.random()
    return {
        "success": success,
        "progress": 1.0 if success else rng.integers(0, 5) / 5,
        "duration_s": seconds if success else LIMIT_S,
        "time_to_success_s": seconds if success else np.nan,
        "bricks_per_min": (5 if success else 2) * 60 / (seconds if success else LIMIT_S),
        "age_mean_ticks": 5 + ticks + rng.random(),
        "hold_share": 0.05 * ticks if strategy == "sync" else 0.0,
        "seam_position_mean_rad": (0.002 + 0.004 * ticks * naive) * (1 + 0.3 * rng.random()),
        "tool_jerk_m_s3": 20 + 3 * ticks * naive + 2 * rng.normal(),
        "event_fired": True if shoved else pd.NA,
        "twin_success": bool(ease + 0.8 * rng.normal() > 0) if shoved else pd.NA,
        "reaction_s": reaction if shoved and not censored else np.nan,
        "reaction_bound_s": 0.08 + ticks / 30 if shoved else np.nan,
        "reaction_censored": censored if shoved else pd.NA,
        "reaction_observed_s": 8.0 if shoved else np.nan,
        "event_kind": "shove" if shoved else None,
    }
