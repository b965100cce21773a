import math

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.reaction import (
    Reaction,
    earliest_reaction_ticks,
    event_reactions,
    reaction,
    summarise_reactions,
)
from xr0_sim.metrics.time_to_success import compare_times, restricted_mean, success_curve

HZ = 30


def runs(length=60, differ_at=None, size=0.1, column=0):
    twin = np.random.default_rng(0).normal(size=(length, 14))
    run = twin.copy()
    if differ_at is not None:
        run[differ_at:, column] += size
    return run, twin


def test_the_first_differing_command_ends_the_reaction():
    found = reaction(*runs(differ_at=27), event_tick=20, control_hz=HZ, earliest_ticks=6)
    assert found.seconds == pytest.approx(7 / HZ)
    assert found.lower_bound_s == pytest.approx(6 / HZ)
    assert found.observed_s == pytest.approx(40 / HZ)


@pytest.mark.parametrize(
    ("column", "size", "seen"), [(0, 0.009, False), (0, 0.011, True), (6, 0.04, False)]
)
def test_joints_and_jaws_have_their_own_tolerance(column, size, seen):
    found = reaction(*runs(differ_at=25, size=size, column=column), event_tick=20, control_hz=HZ)
    assert (found.seconds is not None) == seen


def test_a_run_that_ends_first_is_censored():
    run, twin = runs(differ_at=50)
    found = reaction(run, twin[:45], event_tick=20, control_hz=HZ)
    assert found.seconds is None and found.observed_s == pytest.approx(25 / HZ)


def test_runs_that_differ_before_the_event_are_no_twins():
    run, twin = runs(differ_at=10, size=1e-12)
    with pytest.raises(ConfigError, match="expected a twin with the same commands"):
        reaction(run, twin, event_tick=20, control_hz=HZ)
    with pytest.raises(ConfigError, match=r"expected an event tick in 0\.\.59, got 60"):
        reaction(run, twin, event_tick=60, control_hz=HZ)


def test_the_lower_bound_counts_capture_inference_and_frozen_prefix():
    started = np.full(40, -1)
    started[[0, 10, 20]] = [0, 1, 2]
    d_ceil, prefix = np.full(40, 3), np.full(40, 6)
    # An event in tick 10 is missed by the capture of tick 10.
    assert earliest_reaction_ticks(10, started, d_ceil, prefix) == 10 + 6
    assert earliest_reaction_ticks(9, started, d_ceil, prefix) == 1 + 6
    assert earliest_reaction_ticks(9, started, d_ceil, 0 * prefix) == 1 + 3
    assert earliest_reaction_ticks(20, started, d_ceil, prefix) is None


def test_a_refresh_is_no_look_and_a_later_capture_may_overtake():
    started, refresh = np.full(40, -1), np.zeros(40, dtype=bool)
    started[[0, 6, 10, 13]] = [0, 1, 2, 3]
    refresh[6] = True
    d_ceil, prefix = np.full(40, 3), np.full(40, 0)
    assert earliest_reaction_ticks(4, started, d_ceil, prefix) == 2 + 3
    assert earliest_reaction_ticks(4, started, d_ceil, prefix, refresh) == 6 + 3
    d_ceil[10] = 9
    assert earliest_reaction_ticks(4, started, d_ceil, prefix, refresh) == 9 + 3
    refresh[[10, 13]] = True
    assert earliest_reaction_ticks(4, started, d_ceil, prefix, refresh) is None


def test_quantiles_count_censored_episodes_as_slowest():
    quick = [reaction(*runs(differ_at=20 + k), event_tick=20, control_hz=HZ) for k in (3, 6, 9)]
    never = reaction(*runs(), event_tick=20, control_hz=HZ)
    found = summarise_reactions([*quick, never])
    assert found.median_s == pytest.approx(6 / HZ)
    assert found.p95_s == math.inf
    assert (found.censored.value, found.censored.n) == (0.25, 4)
    assert math.isnan(summarise_reactions([]).median_s)


def test_time_to_success_counts_failures_as_the_limit():
    times = [2.0, 4.0, None, 4.0]
    assert restricted_mean(times, 10.0).value == 5.0
    curve = success_curve(times)
    assert curve.times_s.tolist() == [2.0, 4.0] and curve.share.tolist() == [0.25, 0.75]
    assert compare_times(times, times).statistic == 0
    assert compare_times([1.0] * 20, [None] * 20).statistic == 1
    with pytest.raises(ConfigError, match="or None for a failure"):
        restricted_mean([math.nan], 1.0)


def several(run, twins, ticks, length=60):
    started = np.full(length, -1)
    started[::10] = np.arange(len(started[::10]))
    columns = {"d_ceil": np.full(length, 3), "prefix_steps": np.zeros(length)}
    return event_reactions(run, twins, ticks, HZ, started=started, **columns)


def test_each_of_several_events_has_its_own_reaction():
    run, undisturbed = runs()
    only_first = undisturbed.copy()
    only_first[14:] += 0.1
    run = only_first.copy()
    run[37:] += 0.1
    first, second = several(run, [undisturbed, only_first], [10, 30])
    assert (first.seconds, second.seconds) == (pytest.approx(4 / HZ), pytest.approx(7 / HZ))
    assert (first.observed_s, second.observed_s) == (pytest.approx(20 / HZ), pytest.approx(1.0))
    # The first captures after them are in ticks 20 and 40, three ticks each.
    assert (first.lower_bound_s, second.lower_bound_s) == (pytest.approx(13 / HZ),) * 2


def test_what_comes_after_the_next_event_is_no_reaction_to_the_first():
    run, twin = runs(differ_at=33)
    first, second = several(run, [twin], [10, 30])
    assert first.seconds is None and first.comparable
    assert second.seconds == pytest.approx(3 / HZ)
    same_tick = several(run, [twin], [30, 30])
    assert same_tick[0] == same_tick[1] == second


def test_a_twin_that_was_left_behind_tells_nothing_about_a_later_event():
    run, twin = runs(differ_at=14)
    first, second = several(run, [twin], [10, 30])
    assert first.comparable and not second.comparable and second.seconds is None
    found = summarise_reactions([first, second])
    assert found.censored.n == 1 and found.median_s == first.seconds
    for twins, ticks in (([twin], [30, 10]), ([twin] * 3, [10, 30]), ([], [10])):
        with pytest.raises(ConfigError, match="expected"):
            several(run, twins, ticks)
    assert Reaction(None, 0.0, None).comparable
