"""Where success falls below half, and how far commands part, on answers known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from experiments.study.divergence import divergence, divergence_frame
from experiments.study.halfway import _quantities, falling, halfway
from xr0_sim.errors import ConfigError

SPEEDS = ["0 cm/s", "5 cm/s", "10 cm/s", "20 cm/s"]


def frame_of(rates, n=20, **columns):
    rows = [
        {"speed": level, "seed": seed, "valid": True, "success": seed < round(rate * n), **columns}
        for level, rate in zip(SPEEDS, rates, strict=True)
        for seed in range(n)
    ]
    return pd.DataFrame(rows)


def place(rates, **columns):
    factors = {"speed": SPEEDS}
    (found,) = halfway(frame_of(rates, **columns), factors, "speed", np.random.default_rng(0))
    return found


def test_rates_that_fall_are_joined_by_straight_lines():
    found = place([1.0, 0.8, 0.3, 0.1])
    assert found.value == pytest.approx(5 + 5 * (0.8 - 0.5) / (0.8 - 0.3))
    assert found.low < found.value < found.high and found.n == 20
    assert str(found).startswith("Success by speed, made to fall: below half from 8 cm/s on [")
    # A rate that rises is pooled with the one before.
    assert place([1.0, 0.6, 0.8, 0.0]).value == pytest.approx(10 + 10 * 0.2 / 0.7)


def test_amounts_in_parts_count_as_their_sum():
    found, unit = _quantities("latency", ["0ms", "60+20ms", "225 + 75 ms"])
    assert (found, unit) == ({"0ms": 0.0, "60+20ms": 80.0, "225 + 75 ms": 300.0}, "ms")


def test_what_never_falls_and_what_is_never_above_is_said():
    always, never = place([1.0, 1.0, 1.0, 0.9]), place([0.4, 0.3, 0.1, 0.0])
    assert (always.value, never.value) == (math.inf, -math.inf)
    assert "nowhere below half (up to 20 cm/s) [beyond 20, beyond 20]" in str(always)
    assert "everywhere below half" in str(never)


def test_contexts_have_their_own_and_other_levels_are_refused():
    frame = pd.concat(
        [
            frame_of([1.0, 1.0, 0.0, 0.0], strategy="fast"),
            frame_of([1.0, 0.0, 0.0, 0.0], strategy="slow"),
        ]
    )
    frame.loc[(frame["seed"] == 3) & (frame["speed"] == "5 cm/s"), "valid"] = False
    factors = {"strategy": ["fast", "slow"], "speed": SPEEDS}
    fast, slow = halfway(frame, factors, "speed", np.random.default_rng(0))
    assert (fast.within, fast.value) == ({"strategy": "fast"}, 7.5)
    assert (slow.within, slow.value) == ({"strategy": "slow"}, 2.5)
    for factor, expected in (
        ("strategy", "expected two quantities or more of one unit"),
        ("sped", "did you mean 'speed'"),
    ):
        with pytest.raises(ConfigError, match=expected):
            halfway(frame, factors, factor, np.random.default_rng(0))
    none = frame.assign(valid=False)
    with pytest.raises(ConfigError, match="expected valid rows"):
        halfway(none, {"speed": SPEEDS}, "speed", np.random.default_rng(0))
    mixed = {"speed": ["0 cm/s", "5 m/s"]}
    with pytest.raises(ConfigError, match="one unit"):
        halfway(frame, mixed, "speed", np.random.default_rng(0))


def test_falling_rates_are_the_nearest_ones():
    rng = np.random.default_rng(0)
    rates, weights = rng.random(5), rng.integers(1, 9, 5)
    found = falling(rates, weights)
    assert (np.diff(found) <= 1e-12).all()
    near = (weights * (found - rates) ** 2).sum()
    for _ in range(2000):
        other = np.sort(rng.random(5))[::-1]
        assert (weights * (other - rates) ** 2).sum() >= near
    assert (weights * found).sum() == pytest.approx((weights * rates).sum())


def test_divergence_is_the_largest_joint_difference_from_the_event_on():
    twin = np.zeros((6, 14))
    run = twin.copy()
    run[3:, 2], run[4:, 9], run[3:, 6] = 0.1, -0.4, 1.0  # the last one is a jaw
    np.testing.assert_allclose(divergence(run, twin, 2), [0.0, 0.1, 0.4, 0.4])
    np.testing.assert_allclose(divergence(run, twin[:4], 2), [0.0, 0.1])
    with pytest.raises(ConfigError, match="same commands before the event"):
        divergence(run, twin, 4)
    frame = divergence_frame([np.array([0.0, 1.0, 3.0]), np.array([0.0, 3.0]), np.array([0.0])], 10)
    assert frame["time_s"].tolist() == [0.0, 0.1] and frame["n"].tolist() == [3, 2]
    assert frame["median_rad"].tolist() == [0.0, 2.0]
    assert divergence_frame([], 30).empty
