"""Paired contrasts against scipy and statsmodels, and their coverage by simulation."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.contrast import contrast
from xr0_sim.metrics.statistics import paired_rate_difference


def test_one_block_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.3, 1, 25), rng.normal(0, 2, 25)
    known = stats.ttest_rel(a, b)
    found = contrast((a - b)[None, :, None])
    ends = known.confidence_interval()
    assert found.p_value() == pytest.approx(known.pvalue)
    assert (found.interval().low, found.interval().high) == pytest.approx((ends.low, ends.high))


def test_one_block_of_booleans_is_agresti_and_min():
    rng = np.random.default_rng(2)
    a, b = rng.random(40) < 0.7, rng.random(40) < 0.5
    known = paired_rate_difference(a, b)
    found = contrast((a.astype(float) - b)[None, :, None], rates=True).interval(1.0)
    assert (found.value, found.low, found.high) == pytest.approx(
        (known.value, known.low, known.high)
    )


def cells_of_a_factorial(seeds, rng):
    """(S, 2, 2) values whose rows share a seed."""
    scene = rng.normal(size=(seeds, 1, 1))
    return scene + rng.normal(size=(seeds, 2, 2)) + np.array([[0.0, 0.4], [0.2, 1.5]])


def test_interaction_of_a_complete_factorial_is_that_of_repeated_measures():
    import pandas as pd

    y = cells_of_a_factorial(20, np.random.default_rng(3))
    frame = pd.DataFrame(
        [(s, i, j, y[s, i, j]) for s in range(20) for i in range(2) for j in range(2)],
        columns=["seed", "a", "b", "y"],
    )
    table = AnovaRM(frame, "y", "seed", within=["a", "b"]).fit().anova_table
    interaction = contrast(
        (y[:, 1, 1] - y[:, 1, 0] - y[:, 0, 1] + y[:, 0, 0])[None, :, None], legs=2
    )
    main = contrast((y[:, 1] - y[:, 0])[None])
    for found, line in ((interaction, "a:b"), (main, "a")):
        assert (found.centre / found.spread) ** 2 == pytest.approx(table.loc[line, "F Value"])
        assert found.p_value() == pytest.approx(table.loc[line, "Pr > F"])


def test_seeds_are_clusters_as_in_a_regression_where_pairs_are_missing():
    rng = np.random.default_rng(4)
    d = rng.normal(size=(30, 1)) + rng.normal(size=(30, 3))
    d[rng.random(d.shape) < 0.2] = np.nan
    seed, block = np.nonzero(np.isfinite(d))
    dummies = (block[:, None] == np.arange(3)).astype(float)
    fit = sm.OLS(d[seed, block], dummies).fit(
        cov_type="cluster", cov_kwds={"groups": seed, "use_correction": False}
    )
    known = fit.t_test(np.full((1, 3), 1 / 3))
    found = contrast(d[None])
    n = found.n
    assert found.value == pytest.approx(float(known.effect[0]))
    assert found.spread == pytest.approx(float(known.sd[0, 0]) * math.sqrt(n / (n - 1)))


def miss_rate(draw, runs=250, **options):
    missed = 0
    for _ in range(runs):
        found = contrast(draw(), **options).interval()
        missed += not found.low <= 0.0 <= found.high
    return missed / runs


@pytest.mark.parametrize(("trainings", "spread"), [(3, 0.0), (3, 0.5), (5, 1.0)])
def test_cluster_bootstrap_covers_with_few_trainings(trainings, spread):
    rng = np.random.default_rng(5)

    def draw():
        seed = rng.normal(size=(1, 40, 1))
        return (
            spread * rng.normal(size=(trainings, 1, 1)) + seed + rng.normal(size=(trainings, 40, 1))
        )

    # Three standard errors above 5 % of 250 runs.
    assert miss_rate(draw, rng=rng) <= 0.092


def test_trainings_taken_for_seeds_would_not_cover():
    rng = np.random.default_rng(6)

    def draw():
        seed = rng.normal(size=(1, 40, 1))
        values = rng.normal(size=(3, 1, 1)) + seed + rng.normal(size=(3, 40, 1))
        return values.reshape(1, -1, 1)

    assert miss_rate(draw) > 0.3


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.97])
def test_rates_over_several_contexts_cover(rate):
    rng = np.random.default_rng(7)

    def draw():
        a, b = (rng.random((2, 30, 4)) < rate).astype(float)
        return (a - b)[None]

    assert miss_rate(draw, runs=600, rates=True) <= 0.077


def test_agreement_in_every_pair_still_has_a_width():
    found = contrast(np.zeros((1, 20, 3)), rates=True).interval(1.0)
    assert found.value == 0.0 and -0.2 < found.low < 0.0 < found.high < 0.2
    plain = contrast(np.zeros((1, 20, 3)))
    assert plain.p_value() == 1.0 and plain.seeds_to_resolve() is None


def test_small_n_and_bounds():
    assert math.isnan(contrast(np.full((1, 4, 2), np.nan)).value)
    one = contrast(np.array([[[3.0]]]))
    assert math.isnan(one.interval().low) and math.isnan(one.p_value())
    wide = contrast(np.array([[[1.0], [-1.0], [1.0]]])).interval(1.0)
    assert (wide.low, wide.high) == (-1.0, 1.0)
    with pytest.raises(ConfigError, match="generator"):
        contrast(np.zeros((2, 4, 1)))


def test_seeds_to_resolve_is_where_the_interval_leaves_zero():
    rng = np.random.default_rng(8)
    d = rng.normal(0.2, 1.0, 30)
    d += 0.2 - d.mean()
    found = contrast(d[None, :, None])
    n = found.seeds_to_resolve()
    half = found.quantile() * math.sqrt(30 * found.seed_variance / n)
    assert half == pytest.approx(0.2, rel=0.02)
    assert found.seeds_to_resolve(0.99) > n
