import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr0_sim.conventions import tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.clock import VirtualClock, delay_ticks, seconds_to_ns


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, (0, 0)), (40, (1, 2)), (80, (2, 3)), (133, (3, 4)), (200, (6, 6)), (333, (9, 10))],
)
def test_delays_at_30_hz(milliseconds, expected):
    assert delay_ticks(seconds_to_ns(milliseconds / 1e3), 30) == expected


@given(ticks=st.integers(0, 500), hz=st.sampled_from([10, 25, 30, 50, 60]))
def test_a_whole_number_of_ticks_stays_whole(ticks, hz):
    assert delay_ticks(seconds_to_ns(ticks / hz), hz) == (ticks, ticks)


@given(latency_s=st.floats(0, 3), start=st.integers(0, 10_000))
def test_delivery_is_the_first_tick_after_the_finish(latency_s, start):
    latency_ns = seconds_to_ns(latency_s)
    floor, ceil = delay_ticks(latency_ns, 30)
    finish = tick_ns(start) + latency_ns
    slack_ns = 2  # tick starts are rounded to whole nanoseconds
    assert tick_ns(start + ceil) >= finish - slack_ns
    assert ceil == 0 or tick_ns(start + ceil - 1) < finish + slack_ns
    assert ceil - floor in (0, 1)
    assert floor <= math.ceil(latency_s * 30) and ceil >= math.floor(latency_s * 30)


def test_the_clock_does_not_go_back():
    clock = VirtualClock()
    clock.advance_to(5)
    assert clock.now_ns == 5
    with pytest.raises(ConfigError, match="expected a time >= 5 ns, got 4 ns"):
        clock.advance_to(4)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_durations_are_finite_and_not_negative(bad):
    with pytest.raises(ConfigError, match="finite number of seconds"):
        seconds_to_ns(bad)
