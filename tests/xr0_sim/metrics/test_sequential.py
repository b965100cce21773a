"""Confidence sequences: valid at every n at once, which a fixed-n interval is not."""

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.sequential import mean_sequence, rate_sequence, sequence_p_value
from xr0_sim.metrics.statistics import wilson

LOOKS = range(10, 301, 10)


def ever_missed(interval, rate, runs, rng):
    """Share of runs in which the interval missed the rate at one of the looks."""
    missed = 0
    for _ in range(runs):
        successes = (rng.random(300) < rate).cumsum()
        found = (interval(int(successes[n - 1]), n) for n in LOOKS)
        missed += any(not i.low <= rate <= i.high for i in found)
    return missed / runs


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_rate_sequence_covers_at_all_looks(rate):
    assert ever_missed(rate_sequence, rate, 150, np.random.default_rng(1)) <= 0.05


def test_wilson_does_not():
    assert ever_missed(wilson, 0.5, 300, np.random.default_rng(2)) > 0.15


def test_rate_sequence_ends_solve_its_equation():
    # Uniform mixture at 3 of 10: 1 / (11 · C(10, 3)) over p³ (1 - p)⁷ is 20 at both ends.
    found = rate_sequence(3, 10)
    for p in (found.low, found.high):
        assert p**3 * (1 - p) ** 7 * 11 * 120 == pytest.approx(1 / 20)
    assert rate_sequence(0, 20).low == 0.0 and rate_sequence(20, 20).high == 1.0
    assert (rate_sequence(0, 0).low, rate_sequence(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_mean_sequence_of_paired_differences_covers_at_all_looks(share):
    rng, missed = np.random.default_rng(3), 0
    for _ in range(300):
        d = (rng.random(150) < share).astype(float) - (rng.random(150) < share)
        # What is out stays out: the interval at the end tells of all looks.
        found = mean_sequence(d, (-1.0, 1.0))
        missed += not found.low <= 0.0 <= found.high
    assert missed / 300 <= 0.05


def test_mean_sequence_closes_in():
    rng = np.random.default_rng(4)
    x = 30 + 20 * rng.random(400)
    wide, narrow = mean_sequence(x[:40], (0, 60)), mean_sequence(x, (0, 60))
    assert wide.low <= narrow.low < 40 < narrow.high <= wide.high
    assert narrow.high - narrow.low < 4
    assert narrow.value == pytest.approx(x.mean())


def test_p_value_holds_at_any_moment_and_agrees_with_the_interval():
    rng = np.random.default_rng(5)
    null = [sequence_p_value(rng.integers(-1, 2, 150), (-1, 1), 0.0) for _ in range(200)]
    assert np.mean(np.array(null) <= 0.05) <= 0.05
    d = np.where(rng.random(200) < 0.6, 1.0, -0.5)
    found = mean_sequence(d, (-1, 1))
    assert found.low > 0 and sequence_p_value(d, (-1, 1), 0.0) <= 0.05
    assert sequence_p_value(d, (-1, 1), found.value) > 0.05
    assert sequence_p_value([], (-1, 1), 0.0) == 1.0


def test_values_outside_of_the_bounds_are_refused():
    with pytest.raises(ConfigError, match="finite bounds"):
        mean_sequence([1.0], (0.0, np.inf))
    with pytest.raises(ConfigError, match=r"\[0, 1\]"):
        mean_sequence([1.5], (0.0, 1.0))
    with pytest.raises(ConfigError, match="successes"):
        rate_sequence(3, 2)
