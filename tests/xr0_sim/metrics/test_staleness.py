import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.staleness import staleness


def test_a_known_episode():
    hold = [1, 1, 0, 0, 0, 1, 1, 1, 0, 1]
    age = [-1, -1, 2, 3, 4, -1, -1, -1, 8, -1]
    found = staleness(age, hold)
    assert (found.age_mean_ticks, found.age_max_ticks) == (17 / 4, 8)
    assert found.age_p95_ticks == pytest.approx(np.percentile([2, 3, 4, 8], 95))
    assert (found.starved_ticks, found.longest_gap_ticks, found.initial_wait_ticks) == (6, 3, 2)
    assert found.hold_share == 0.6


def test_nothing_but_holding():
    found = staleness([-1, -1], [True, True])
    assert np.isnan(found.age_mean_ticks) and found.longest_gap_ticks == 2


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_longest_gap_is_the_longest_run(hold):
    text = "".join("x" if h else "." for h in hold)
    found = staleness([0] * len(hold), hold)
    assert found.longest_gap_ticks == max(map(len, text.split(".")))
    assert found.initial_wait_ticks == len(text) - len(text.lstrip("x"))


def test_columns_must_match():
    with pytest.raises(ConfigError, match="equal length"):
        staleness([1, 2], [False])
    with pytest.raises(ConfigError, match="equal length >= 1"):
        staleness([], [])
