"""L_max: which latency costs at most so many points, with studies whose answer is known."""

import json

import numpy as np
import pandas as pd
import pytest
from synthetic_study import FACTORS, TICKS, synthetic_frame

from experiments.study import Study
from experiments.study.latency_limit import latency_limits, mean_latency_s
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import paired_rate_difference
from xr0_sim.runtime.latency.presets import parse_latency

SECONDS = {level: float(level.removesuffix("ms")) / 1e3 for level in TICKS}


def frame_of(successes, n):
    """One factor, latency -> successes out of n; the same seeds succeed first everywhere."""
    rows = [
        {"latency": level, "seed": seed, "valid": True, "success": seed < count, "duration_s": 1.0}
        for level, count in successes.items()
        for seed in range(n)
    ]
    return pd.DataFrame(rows)


def limit_of(successes, n, points=10.0):
    levels = {"latency": list(successes)}
    seconds = {level: float(level.removesuffix("ms")) / 1e3 for level in successes}
    (found,) = latency_limits(frame_of(successes, n), levels, seconds, points=points)
    return found


def test_the_largest_level_within_is_found_and_the_next_one_told():
    found = limit_of({"0ms": 190, "80ms": 188, "200ms": 184, "333ms": 120}, 200)
    assert found.seconds == 0.2 and [loss.state for loss in found.losses] == [
        *("within", "within", "beyond")
    ]
    own = np.arange(200)
    loss = paired_rate_difference(own < 190, own < 184)
    assert found.found.loss.value == pytest.approx(0.03)
    assert (found.found.loss.low, found.found.loss.high) == pytest.approx((loss.low, loss.high))
    assert str(found).startswith("L_max(10): 200ms, loses 3.0 points [0.")
    assert "333ms: loses 35.0 points [28." in str(found) and "beyond the limit." in str(found)


def test_what_is_not_resolved_is_said_with_the_seeds_it_would_take():
    found = limit_of({"0ms": 38, "80ms": 37, "200ms": 35}, 40)
    assert found.seconds == 0.08 and found.losses[1].state == "open"
    needed = found.losses[1].seeds_needed
    assert needed > 40 and f"not resolved, about {needed:,} seeds" in str(found)
    scale = needed // 40 + 1
    more = limit_of({"0ms": 38 * scale, "80ms": 37 * scale, "200ms": 35 * scale}, 40 * scale)
    assert more.losses[1].state == "within"
    assert str(more).startswith("L_max(10): at least 200ms, loses") and "largest level" in str(more)


def test_a_level_above_one_that_is_beyond_is_no_limit():
    found = limit_of({"0ms": 190, "80ms": 120, "200ms": 189}, 200)
    assert found.found is None and found.seconds is None
    assert str(found).startswith("L_max(10): none of the levels (0ms apart); 80ms: loses 35.0")
    assert "200ms: loses 0.5 points" in str(found) and "within again" in str(found)


def test_an_open_level_below_one_within_is_no_obstacle():
    rows = frame_of({"0ms": 190, "80ms": 180, "200ms": 188}, 200)
    rows = rows[(rows["latency"] != "80ms") | (rows["seed"] % 8 == 0)]
    (found,) = latency_limits(rows, {"latency": ["0ms", "80ms", "200ms"]}, SECONDS)
    assert [loss.state for loss in found.losses] == ["open", "within"]
    assert found.seconds == 0.2


def test_who_hardly_succeeds_has_nothing_to_lose():
    found = limit_of({"0ms": 16, "80ms": 0}, 200)
    assert found.losses[0].state != "beyond" and found.found is None
    assert "says nothing, success without latency is only 8.0 %" in str(found)


def test_one_pair_is_too_few():
    found = limit_of({"0ms": 1, "80ms": 1}, 1)
    assert found.losses[0].state in ("few", "open") and found.found is None


def test_every_context_has_its_own_in_a_plausible_study():
    frame = synthetic_frame(1000, seed=3, invalid=0.0)
    found = latency_limits(frame, FACTORS, SECONDS)
    assert len(found) == 1 + 3 * 2 and found[0].within == {}
    by = {tuple(limit.within.values()): limit for limit in found}
    assert by["sync", "none"].seconds is None  # loses most
    assert by["prefix_async", "none"].seconds == 0.2
    assert "strategy=sync, event=none" in str(by["sync", "none"])
    told = json.loads(json.dumps(found[-1].to_dict()))
    assert told["level"] == found[-1].found.level and len(told["losses"]) == 2


def test_levels_are_latencies_by_what_they_set():
    ticks = {"none": {"latency": "none"}, "6 ticks": {"latency": "constant:latency_s=0.2"}}
    factors = {"delay": ticks, "strategy": ["sync", "naive_async"]}
    study = Study(policy="oracle", event="none", max_seconds=1.0, factors=factors)
    assert study.latencies == {"delay": {"none": 0.0, "6 ticks": 0.2}}
    assert mean_latency_s(parse_latency("rtc_lan")) == pytest.approx(0.1088, abs=0.001)
    # A first inference of 0.7 s among 256.
    assert mean_latency_s(parse_latency("warmup_spike")) == pytest.approx(0.08 + 0.62 / 256)


def test_what_cannot_be_asked_is_refused():
    frame = frame_of({"80ms": 9, "200ms": 9}, 10)
    levels = {"latency": ["80ms", "200ms"]}
    with pytest.raises(ConfigError, match="expected a level of latency without latency"):
        latency_limits(frame, levels, {"80ms": 0.08, "200ms": 0.2})
    with pytest.raises(ConfigError, match=r"points in \(0, 100\), got 0"):
        latency_limits(frame, levels, {"80ms": 0.0, "200ms": 0.2}, points=0)
