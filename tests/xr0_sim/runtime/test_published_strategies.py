"""Every further published strategy against its picture: which row of which chunk is executed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from clocks import HORIZON, Clock, Marked, play

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.estimator import FixedDelay
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.latency.parts import Parts
from xr0_sim.runtime.strategies.bid import Bid
from xr0_sim.runtime.strategies.event_triggered import EventTriggered, picture_change
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.roll_forward import RollForward
from xr0_sim.runtime.strategies.rtc import Rtc, guide_weights
from xr0_sim.runtime.strategies.shared_noise import SharedNoise
from xr0_sim.runtime.strategies.temporal_ensemble import TemporalEnsemble
from xr0_sim.runtime.strategies.two_rate import TwoRate
from xr0_sim.types import CAPABILITIES, PREFIX_ONLY, ActionChunk, Observation


def first_column(records):
    return [record.action[0] for record in records]


@pytest.mark.parametrize("delay", range(13))
@pytest.mark.parametrize(
    "strategy",
    [
        TemporalEnsemble(),
        TemporalEnsemble(8, 0.5),
        Bid(),
        RollForward(),
        SharedNoise(),
        Pipelined(),
        Rtc(),
        TwoRate(),
    ],
    ids=lambda s: s.label,
)
def test_a_plan_that_is_right_is_executed_on_time(strategy, delay):
    """The clock has no seams: every executed action is that of its tick, whatever the delay."""
    records, _ = play(strategy, 60, delay)
    assert all(record.hold for record in records[:delay])
    begun = np.array(first_column(records)[delay:])
    # The first chunk was captured at a standstill and starts late by the delay.
    first = np.flatnonzero(begun == np.arange(delay, 60))
    assert not any(record.hold for record in records[delay:])
    assert len(first) and (np.diff(begun) >= 0).all()
    settled = begun[first[0] :]
    np.testing.assert_allclose(settled, np.arange(60 - len(settled), 60), atol=1e-9)


def test_ensemble_weighs_the_oldest_most():
    records, _ = play(TemporalEnsemble(1, 0.5), 4, model=Marked())
    weights = np.exp(-0.5 * np.arange(4))
    wanted = 3 + 100 * (weights @ np.arange(4)) / weights.sum()
    assert first_column(records)[3] == pytest.approx(wanted)


def test_bid_takes_the_sample_that_goes_on_with_the_plan():
    class Scattered(Clock):
        def infer_request(self, request):
            chunks = super().infer_request(request)
            if request.noise_seed[1] == 0:
                return chunks
            offsets = 0.5 - 0.1 * np.arange(request.samples)
            return [
                ActionChunk(chunk.actions + offset, chunk.first_tick)
                for chunk, offset in zip(chunks, offsets, strict=True)
            ]

    records, model = play(Bid(10, samples=8), 20, model=Scattered())
    assert model.requests[0].samples == 8
    # Sample 6 of the second inference lies 0.04 off the plan, nearer than any other.
    assert first_column(records)[15] == pytest.approx(15 - 0.04, abs=1e-9)


@pytest.mark.parametrize(("estimate", "overruns"), [(3, 0), (1, 2), (5, 0)])
def test_roll_forward_starts_at_the_estimated_arrival(estimate, overruns):
    """Delay 3: a chunk estimated too short starts behind its first rows, too long waits."""
    strategy = RollForward(10)
    records, model = play(strategy, 35, 3, Marked(), FixedDelay(estimate))
    for request in model.requests[1:]:
        tick = request.observation.tick
        rows = np.array([record.action for record in records[tick : tick + estimate]])
        if estimate <= 3:
            np.testing.assert_array_equal(request.assumed, rows)
        assert len(request.assumed) == estimate
    swap = next(r for r in records if r.chunk_id == 1)
    capture = model.requests[1].observation.tick
    assert swap.tick == capture + max(3, estimate)
    assert swap.index == max(0, 3 - estimate)
    assert sum(r.overrun for r in records) == overruns


def test_shared_noise_asks_for_noise_by_tick():
    _, model = play(SharedNoise(), 20)
    assert {request.noise for request in model.requests} == {"tick"}


def test_pipelined_captures_every_period_and_drops_none_in_order():
    records, model = play(Pipelined(2, 3), 30, 5)
    captures = [request.observation.tick for request in model.requests]
    # Three at a time, five ticks each: the third waits for nobody, the fourth for the first.
    assert captures[:5] == [0, 2, 4, 6, 8]
    # A row is never older than the delay, one period and what waits in between.
    assert max(r.age_ticks for r in records[10:]) <= 5 + 2


def test_pipelined_keeps_to_its_depth():
    _, model = play(Pipelined(1, 2), 20, 4)
    captures = [request.observation.tick for request in model.requests]
    assert captures[:6] == [0, 1, 4, 5, 8, 9]


def test_pipelined_gives_what_is_committed_as_a_prefix_where_one_is_asked_for():
    records, model = play(Pipelined(3, 3, longest_prefix=2), 40, 3)
    assert [len(request.prefix) for request in model.requests[:4]] == [0, 2, 2, 2]
    for request in model.requests[1:-1]:
        tick = request.observation.tick
        rows = [record.action for record in records[tick : tick + 2]]
        np.testing.assert_array_equal(request.prefix, rows)
    # Three ticks of delay and two rows: the third was not known.
    arrivals = [request.observation.tick + 3 for request in model.requests[1:]]
    assert [r.tick for r in records if r.overrun] == [tick for tick in arrivals if tick < 40]
    records, model = play(Pipelined(3, 3, longest_prefix=6), 40, 3)
    assert not any(record.overrun for record in records)
    plain, _ = play(Pipelined(3, 3), 40, 3)
    assert not any(record.overrun for record in plain)
    assert Pipelined().needs == frozenset() and Pipelined(longest_prefix=1).needs == PREFIX_ONLY
    with pytest.raises(ConfigError, match="longest_prefix >= 0"):
        Pipelined(longest_prefix=-1)


def test_rtc_holds_the_frozen_rows_and_lets_the_others_go():
    weights = guide_weights(20, 3, HORIZON, "exp")
    falling = (20 - np.arange(3, 20)) / 18
    np.testing.assert_array_equal(weights[:3], 1.0)
    np.testing.assert_allclose(weights[3:], falling * np.expm1(falling) / (math.e - 1))
    np.testing.assert_allclose(guide_weights(6, 2, HORIZON, "linear")[2:], [0.8, 0.6, 0.4, 0.2])
    np.testing.assert_array_equal(guide_weights(5, 2, HORIZON, "zeros"), [1, 1, 0, 0, 0])
    assert guide_weights(2, 5, HORIZON, "exp").tolist() == [1, 1]
    _, model = play(Rtc(10), 25, 3)
    second = model.requests[1]
    assert model.requests[0].guide is None
    tick = second.observation.tick
    np.testing.assert_array_equal(
        second.guide.actions[:, 0], np.arange(len(second.guide.actions)) + tick - 3
    )
    assert len(second.guide.actions) == HORIZON - 10


def test_two_rates_refresh_from_the_newest_finished_cache():
    """VLM 4 ticks, expert 1: a full inference takes 5, a refresh 1."""
    latency = Parts(4 / CONTROL_HZ, 1 / CONTROL_HZ)
    records, model = play(TwoRate(10, 3), 40, latency=latency)
    kinds = [(r.observation.tick, r.refresh, r.memory) for r in model.requests]
    assert kinds[0] == (0, None, None)
    full = [tick for tick, refresh, _ in kinds if refresh is None]
    assert np.diff(full).tolist() == [10] * (len(full) - 1)
    refreshes = [(tick, refresh) for tick, refresh, _ in kinds if refresh is not None]
    assert len(refreshes) >= 2 * len(full) - 2
    numbers = {tick: i for i, (tick, refresh, _) in enumerate(kinds) if refresh is None}
    for tick, refresh, memory in kinds:
        if refresh is None:
            continue
        newest = max(t for t in full if t + 5 <= tick)
        assert refresh == numbers[newest]
        assert memory == ("seen", refresh)
    # Proprioception is never older than a refresh and its period.
    assert max(r.age_ticks for r in records[12:]) <= 5


def test_without_parts_a_refresh_takes_as_long_as_a_full_inference():
    records, model = play(TwoRate(10, 3), 30, 4)
    assert {r.d_ceil for r in records if r.started >= 0} == {4}
    assert any(request.refresh is not None for request in model.requests)


def test_a_branch_remembers_its_own_caches():
    model = Clock()
    model.infer = model.infer_plain
    executor = Executor(model, TwoRate(6, 2), Parts(2 / CONTROL_HZ, 0.0))

    def run(runner, ticks):
        for tick in ticks:
            seen = Observation(tick, tick_ns(tick), None, {}, "go", None)
            runner.tick(lambda seen=seen: seen)

    executor.reset(0, np.zeros(ENV_ACTION_DIM))
    run(executor, range(4))
    branch = executor.branch()
    run(executor, range(4, 25))
    begun = len(model.requests)
    twin = [(r.observation.tick, r.refresh, r.memory) for r in model.requests]
    run(branch, range(4, 25))
    again = [(r.observation.tick, r.refresh, r.memory) for r in model.requests[begun:]]
    assert again == twin[-len(again) :]


@pytest.mark.parametrize("strategy", [Bid(), RollForward(), SharedNoise(), Rtc(), TwoRate()])
def test_a_model_that_cannot_is_refused(strategy):
    class Plain(Clock):
        capabilities = frozenset({"prefix"})

    with pytest.raises(ConfigError, match="expected a chunk model that can do"):
        Executor(Plain(), strategy)
    Executor(Plain(), NaiveAsync())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: TemporalEnsemble(decay=-1.0), "decay"),
        (lambda: Bid(samples=1), "samples"),
        (lambda: Bid(decay=0.0), "decay"),
        (lambda: Pipelined(period=0), "period"),
        (lambda: Pipelined(40).check(HORIZON, frozenset(CAPABILITIES)), "period"),
        (lambda: TwoRate(3, 5), "refresh_every"),
        (lambda: TwoRate(40, 5).check(HORIZON, frozenset(CAPABILITIES)), "full_every"),
        (lambda: TemporalEnsemble(31).check(HORIZON), "execution_horizon"),
        (lambda: Parts(vlm_s=-0.1), "vlm_s"),
    ],
)
def test_settings_without_sense_are_refused(make, told):
    with pytest.raises(ConfigError, match=told):
        make()


def test_a_change_counts_squares_not_noise():
    rng = np.random.default_rng(0)
    before = np.full((64, 64, 3), 100, np.uint8)
    noisy = np.clip(before + rng.normal(0, 10, before.shape), 0, 255).astype(np.uint8)
    assert picture_change(before, noisy) == 0.0
    moved = before.copy()
    moved[:16, :32] = 160
    assert picture_change(before, moved) == 8 / 64
    assert picture_change(moved, before) == 8 / 64
    black = np.zeros((70, 64, 3), np.uint8)  # the last rows fill no square
    assert picture_change(black, black + 12) == 0.0
    assert picture_change(black, black + 13) == picture_change(black + 255, black) == 1.0
    with pytest.raises(ConfigError, match="one size"):
        picture_change(before, before[:32])


def test_a_changed_picture_starts_an_inference_before_its_turn():
    """The scene turns white in tick 13 of 20."""
    model = Clock()
    model.infer = model.infer_plain
    executor = Executor(model, EventTriggered(20, 0.5), Constant(2 / CONTROL_HZ))
    executor.reset(0, np.zeros(ENV_ACTION_DIM))
    for tick in range(40):
        picture = np.full((32, 32, 3), 255 if tick >= 13 else 0, np.uint8)
        seen = Observation(tick, tick_ns(tick), None, {"base": picture}, "go", None)
        executor.tick(lambda seen=seen: seen)
    # Aligned in time: the chunk of tick 13 has 20 rows behind it in tick 33.
    assert [request.observation.tick for request in model.requests] == [0, 13, 33]
    blind = Executor(model, EventTriggered(20, 0.5))
    blind.reset(0, np.zeros(ENV_ACTION_DIM))
    with pytest.raises(ConfigError, match="expected pictures of base"):
        for tick in range(5):
            seen = Observation(tick, tick_ns(tick), None, {}, "go", None)
            blind.tick(lambda seen=seen: seen)


@pytest.mark.parametrize(
    ("overrun", "rows"),
    [
        # Captured in tick 14 with a prefix of two rows (14, 15), arriving in tick 19.
        ("play", [14, 15, 16, 17, 18, 119, 120, 121]),
        ("hold", [14, 15, 15, 15, 15, 116, 117, 118]),
        ("replan", [14, 15, 16, 17, 18, 19, 20, 21]),
    ],
)
def test_a_delay_beyond_the_prefix(overrun, rows):
    """Inference 1 adds 100 to its rows; nothing moves the first, which was a standstill."""

    class Late(Clock):
        def infer_request(self, request):
            chunk = super().infer_request(request)[0]
            actions = chunk.actions.copy()
            actions[len(request.prefix) :] += 100.0 * (request.noise_seed[1] > 0)
            return [ActionChunk(actions, chunk.first_tick)]

    strategy = PrefixAsync(9, prefix_steps=2, overrun=overrun)
    records, model = play(strategy, 24, 5, Late())
    # At a standstill row 0 is due on arrival, so the clock is five ticks late in the first chunk.
    assert [request.observation.tick for request in model.requests][:2] == [0, 14]
    found = [record.action[0] for record in records[14:22]]
    assert [action + 5 * (action < 100) for action in found] == rows
    held = sum(record.hold for record in records[14:22])
    assert held == (3 if overrun == "hold" else 0)
    assert any(record.overrun for record in records) == (overrun == "play")


def test_late_chunks_are_a_matter_of_the_reports_alignment():
    with pytest.raises(ConfigError, match="overrun: expected 'play'"):
        PrefixAsync(alignment="readme", overrun="hold")
    assert PrefixAsync(9, 2, overrun="hold").label == "prefix async T_e=9 Δ=2, late: hold"
