import numpy as np
import pytest

from xr0_sim import registry
from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import Arrival, Situation
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix, PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.runtime.timeline import PlacedChunk, Timeline
from xr0_sim.types import CAPABILITIES

HORIZON = 30


def prefix_of(strategy, timeline, tick, estimate):
    return strategy.request(timeline, tick, estimate, None).prefix


def due(strategy, timeline, tick):
    return strategy.due(Situation(tick, timeline, (), None))


def running():
    """A timeline that executes row i in tick i."""
    actions = np.repeat(np.arange(HORIZON, dtype=float)[:, None], ENV_ACTION_DIM, axis=1)
    timeline = Timeline()
    timeline.merge(PlacedChunk.place(0, actions, capture_tick=0, start_tick=0, takeover_tick=0))
    return timeline


@pytest.mark.parametrize("strategy", [Sync(10), NaiveAsync(10), PrefixAsync(10)])
def test_all_start_after_the_same_number_of_rows(strategy):
    timeline = running()
    assert [t for t in range(HORIZON) if due(strategy, timeline, t)] == list(range(10, HORIZON))
    assert due(strategy, Timeline(), 0)


def test_sync_drops_the_rest_and_naive_keeps_it():
    timeline = running()
    assert len(prefix_of(Sync(10), timeline, 10, 3)) == 0
    assert timeline.at(10) is None
    timeline = running()
    assert len(prefix_of(NaiveAsync(10), timeline, 10, 3)) == 0
    assert timeline.next_index(10) == 10


@pytest.mark.parametrize(
    ("rule", "estimate", "expected"),
    [
        (6, 3, range(10, 16)),
        (0, 3, range(0)),
        (EstimatedPrefix(), 3, range(10, 13)),
        (EstimatedPrefix(margin_steps=2), 3, range(10, 15)),
        (EstimatedPrefix(longest=4), 9, range(10, 14)),
    ],
)
def test_report_prefix_is_what_the_next_ticks_execute(rule, estimate, expected):
    prefix = prefix_of(PrefixAsync(10, rule), running(), 10, estimate)
    assert prefix[:, 0].tolist() == list(expected)


def test_report_prefix_ends_where_the_chunk_ends():
    assert prefix_of(PrefixAsync(10, 6), running(), 27, 3)[:, 0].tolist() == [27, 28, 29]


def test_readme_starts_with_nine_left_and_takes_the_far_end():
    strategy = PrefixAsync(prefix_steps=6, alignment="readme")
    timeline = running()
    assert next(t for t in range(HORIZON) if due(strategy, timeline, t)) == 21
    assert prefix_of(strategy, timeline, 21, 3)[:, 0].tolist() == [24, 25, 26, 27, 28, 29]
    everything = PrefixAsync(prefix_steps=9, alignment="readme")
    assert prefix_of(everything, timeline, 21, 3)[:, 0].tolist() == list(range(21, 30))


def test_placement():
    moving = Arrival(tick=13, capture_tick=10, prefix_steps=2, standstill=False)
    waiting = Arrival(tick=13, capture_tick=10, prefix_steps=0, standstill=True)
    assert Sync().place(moving).start_tick == 13
    assert NaiveAsync().place(moving).start_tick == 10
    assert not NaiveAsync().place(moving).overrun
    assert PrefixAsync().place(moving).start_tick == 10
    assert PrefixAsync().place(moving).overrun
    for name in registry.strategies:
        strategy = registry.strategies.parse(name)
        assert strategy.place(waiting).start_tick == 13
        assert not strategy.place(waiting).overrun


@pytest.mark.parametrize(
    ("strategy", "horizon", "message"),
    [
        (Sync(31), 30, r"execution_horizon: expected 1\.\.30"),
        (NaiveAsync(0), 30, r"execution_horizon: expected 1\.\.30"),
        (PrefixAsync(26, 6), 30, "expected <= 30"),
        (PrefixAsync(alignment="readme"), 10, "expected chunks longer than 10 rows"),
    ],
)
def test_strategies_that_do_not_fit_a_chunk(strategy, horizon, message):
    with pytest.raises(ConfigError, match=message):
        strategy.check(horizon)


def test_bad_configs_are_refused():
    with pytest.raises(ConfigError, match=r"expected report \| readme"):
        PrefixAsync(alignment="readm")
    with pytest.raises(ConfigError, match="expected None with alignment='readme'"):
        PrefixAsync(execution_horizon=10, alignment="readme")
    with pytest.raises(ConfigError, match="prefix_steps: expected >= 0"):
        PrefixAsync(prefix_steps=-1)
    with pytest.raises(ConfigError, match="did you mean 'naive_async'"):
        registry.strategies.parse("naiv")


@pytest.mark.parametrize("name", registry.strategies.names())
def test_presets_fit_the_usual_chunk_and_have_a_label(name):
    strategy = registry.strategies.parse(name)
    strategy.check(HORIZON, frozenset(CAPABILITIES))
    assert strategy.label


@pytest.mark.parametrize(
    ("group", "port"),
    [("strategies", "place"), ("latencies", "sample"), ("estimators", "estimate")],
)
def test_every_entry_has_its_port_and_a_source(group, port):
    table = registry.REGISTRIES[group]
    assert list(table)
    for name in table:
        assert callable(getattr(table[name], port)) and table.entry(name).source


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("6", 6),
        ("estimated", EstimatedPrefix()),
        ("estimated+2", EstimatedPrefix(margin_steps=2)),
        ("estimated:longest=20", EstimatedPrefix(longest=20)),
        ("estimated+1:longest=9", EstimatedPrefix(margin_steps=1, longest=9)),
    ],
)
def test_prefix_lengths_as_text(text, steps):
    found = registry.strategies.parse(f"prefix_async:prefix_steps={text}")
    assert found == PrefixAsync(prefix_steps=steps)


@pytest.mark.parametrize("text", ["estimated-1", "estimated:longest=", "six", "-2"])
def test_a_prefix_length_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="'estimated:longest=N', got"):
        registry.strategies.parse(f"prefix_async:prefix_steps={text}")
