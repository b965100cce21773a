"""Exact tests against statsmodels, scipy and tables."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.median import median_interval
from xr0_sim.metrics.paired_tests import holm, mcnemar_exact, sign_test


def test_mcnemar_against_statsmodels():
    rng = np.random.default_rng(1)
    a, b = rng.random(60) < 0.7, rng.random(60) < 0.45
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert mcnemar_exact(a, b) == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert mcnemar_exact([True, False], [True, False]) == 1.0
    with pytest.raises(ConfigError, match="per shared seed"):
        mcnemar_exact([True], [True, False])


def test_sign_test_keeps_censored_times():
    first = [1.0, 2.0, math.inf, math.inf, 3.0, 4.0, 5.0]
    second = [2.0, 3.0, math.inf, 1.0, 4.0, 5.0, 6.0]
    assert sign_test(first, second) == pytest.approx(stats.binomtest(1, 6).pvalue)


def test_holm_by_hand():
    # Holm (1979): smallest times 4, next times 3, …, never falling.
    found = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert found[[4, 0, 3, 1]] == pytest.approx([0.02, 0.03, 0.06, 0.06])
    assert math.isnan(found[2]) and len(holm([])) == 0
    p = np.random.default_rng(3).random(30) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize(("n", "k"), [(6, 1), (10, 2), (15, 4), (20, 6), (50, 18)])
def test_median_interval_against_the_table_of_order_statistics(n, k):
    found = median_interval(range(1, n + 1))
    assert (found.low, found.high) == (k, n + 1 - k)
    assert found.value == pytest.approx((n + 1) / 2)


def test_median_of_censored_values():
    assert math.isnan(median_interval(range(5)).low)
    found = median_interval([1, 2, 3, 4, 5, 6, 7, math.inf, math.inf, math.inf])
    assert (found.value, found.low, found.high) == (5.5, 2.0, math.inf)
    assert median_interval([1.0, *[math.inf] * 3]).value == math.inf
    with pytest.raises(ConfigError, match="NaN"):
        median_interval([math.nan])


def test_median_interval_covers():
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(400):
        found = median_interval(rng.exponential(size=25))
        missed += not found.low <= math.log(2) <= found.high
    assert missed / 400 <= 0.05
