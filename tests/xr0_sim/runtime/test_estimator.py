import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.latency.estimator import (
    Conservative,
    FixedDelay,
    LastDelay,
    MaxOfWindow,
    QuantileOfWindow,
    TrueDelay,
)

HISTORY = [9, 2, 4, 3]


@pytest.mark.parametrize(
    ("estimator", "empty", "after"),
    [
        (TrueDelay(), 5, 5),
        (TrueDelay(-2), 3, 3),
        (TrueDelay(-9), 0, 0),
        (FixedDelay(3, 2), 5, 5),
        (FixedDelay(1, -2), 0, 0),
        (LastDelay(), 3, 3),
        (MaxOfWindow(window=3), 3, 4),
        (MaxOfWindow(window=4, initial_ticks=1), 1, 9),
        (Conservative(margin_ticks=1), 4, 10),
        (QuantileOfWindow(0.95), 3, 9),
        (QuantileOfWindow(0.75), 3, 4),
        (QuantileOfWindow(0.5, window=3, initial_ticks=1), 1, 3),
    ],
)
def test_estimates(estimator, empty, after):
    assert estimator.estimate([], 5) == empty
    assert estimator.estimate(HISTORY, 5) == after


def test_bad_configs_are_refused():
    with pytest.raises(ConfigError, match="window: expected >= 1"):
        MaxOfWindow(window=0)
    with pytest.raises(ConfigError, match="ticks: expected >= 0"):
        FixedDelay(-1)
    with pytest.raises(ConfigError, match="quantile in"):
        QuantileOfWindow(1.2)
