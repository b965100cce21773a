import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import (
    bootstrap_interval,
    ks_two_sample,
    mean_interval,
    n_to_separate,
    paired_difference,
    paired_rate_difference,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(successes, n, low, high):
    interval = wilson(successes, n)
    assert interval.value == pytest.approx(successes / n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson_contains_the_rate_and_is_symmetric(successes, n):
    successes = min(successes, n)
    a, b = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= a.low <= a.value <= a.high <= 1
    assert a.low == pytest.approx(1 - b.high)


def test_wilson_without_episodes_knows_nothing():
    interval = wilson(0, 0)
    assert math.isnan(interval.value) and (interval.low, interval.high) == (0, 1)
    with pytest.raises(ConfigError, match="expected 0 <= successes <= n, got 3 of 2"):
        wilson(3, 2)


def test_mean_interval_of_a_known_sample():
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.7764451 * math.sqrt(2.5 / 5)
    assert (interval.value, interval.low, interval.high) == pytest.approx((3, 3 - half, 3 + half))
    assert math.isnan(mean_interval([1.0]).low) and mean_interval([]).n == 0
    with pytest.raises(ConfigError, match="drop them first"):
        mean_interval([1.0, math.nan])


def test_bootstrap_is_seeded_and_close_to_t():
    values = np.random.default_rng(0).normal(size=60)
    a, b = (bootstrap_interval(values, np.random.default_rng(1)) for _ in range(2))
    assert a == b
    t = mean_interval(values)
    assert (a.low, a.high) == pytest.approx((t.low, t.high), abs=0.05)
    assert bootstrap_interval([2.0, 2.0], np.random.default_rng(0)).low == 2.0


@pytest.mark.parametrize("interval", [wilson, None])
def test_intervals_cover_the_truth_about_as_often_as_they_say(interval):
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(600):
        if interval is wilson:
            found = wilson(int(rng.binomial(30, 0.8)), 30)
            hits += found.low <= 0.8 <= found.high
        else:
            found = mean_interval(rng.normal(1.0, 2.0, size=8))
            hits += found.low <= 1.0 <= found.high
    assert 0.92 < hits / 600 < 0.98


def test_paired_differences_ignore_what_the_seeds_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 10, size=40)
    a, b = shared + 1 + rng.normal(0, 0.1, 40), shared
    assert paired_difference(a, b).low > 0.9
    assert mean_interval(a).overlaps(mean_interval(b))
    with pytest.raises(ConfigError, match="one value per shared seed, got 2 and 3"):
        paired_difference([1, 2], [1, 2, 3])


def test_paired_rates():
    a = [True] * 18 + [False] * 2
    b = [True] * 8 + [False] * 12
    found = paired_rate_difference(a, b)
    assert found.value == pytest.approx(0.5)
    assert 0.2 < found.low < 0.5 < found.high < 0.7
    same = paired_rate_difference(a, a)
    assert same.value == 0 and same.low < 0 < same.high
    back = paired_rate_difference(b, a)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_ks_statistic_and_level():
    assert ks_two_sample([1, 2, 3], [1, 2, 3]).p_value == 1.0
    apart = ks_two_sample(range(20), range(100, 120))
    assert apart.statistic == 1.0 and apart.p_value < 1e-6
    half = ks_two_sample([1.0, 2.0, math.inf, math.inf], [1.0, 2.0, 3.0, 4.0])
    assert half.statistic == 0.5
    rng = np.random.default_rng(0)
    p = [ks_two_sample(rng.normal(size=30), rng.normal(size=40)).p_value for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_n_to_separate_is_the_smallest_that_does():
    n = n_to_separate(0.9, 0.8)
    assert 150 < n < 400
    assert not wilson(0.9 * n, n).overlaps(wilson(0.8 * n, n))
    assert wilson(0.9 * (n - 1), n - 1).overlaps(wilson(0.8 * (n - 1), n - 1))
    assert n_to_separate(0.8, 0.9) == n
    assert n_to_separate(0.5, 0.5) is None


def test_bounded_means_have_intervals_inside_their_bounds_or_none():
    few = mean_interval([0.0, 20.0], bounds=(0.0, math.inf))
    assert few.value == 10.0 and math.isnan(few.low) and math.isnan(few.high) and few.n == 2
    many = mean_interval([0.0, 0.0, 0.0, 0.0, 1.0], bounds=(0.0, 1.0))
    assert many.low == 0.0 and many.value == 0.2 < many.high < 1.0
    inside = mean_interval([0.5, 0.52, 0.48], bounds=(0.0, 1.0))
    assert inside == mean_interval([0.5, 0.52, 0.48])
    with pytest.raises(ConfigError, match=r"expected values in \[0, 1\], got 0 .. 2"):
        mean_interval([0.0, 2.0], bounds=(0.0, 1.0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_bounded_interval_never_leaves_its_bounds(values):
    found = mean_interval(values, bounds=(0.0, 1.0))
    assert 0.0 <= found.value <= 1.0
    assert math.isnan(found.low) == math.isnan(found.high)
    assert math.isnan(found.low) or 0.0 <= found.low <= found.value <= found.high <= 1.0
    turned = paired_difference(values, values[::-1], bounds=(0.0, 1.0))
    assert math.isnan(turned.low) or -1.0 <= turned.low <= turned.high <= 1.0
