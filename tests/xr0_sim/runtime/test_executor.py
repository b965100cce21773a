import logging
import time

import numpy as np
import pytest
from toys import HORIZON, DoubleIntegrator, Table, Wave

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.estimator import FixedDelay, LastDelay, TrueDelay
from xr0_sim.runtime.latency.models import Constant, LogNormal, WarmupSpike
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix, PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import ActionChunk

HZ = 30
TABLE = np.random.default_rng(3).normal(size=(800, ENV_ACTION_DIM))


def play(executor, plant, ticks, seed=0):
    plant.reset(seed)
    executor.reset(seed, plant.robot_state().command)
    records = []
    for _ in range(ticks):
        records.append(executor.tick(plant.observe))
        plant.step(records[-1].action)
    return records


def ticks_of(records, field):
    return [r.tick for r in records if getattr(r, field) >= 0]


def test_sync_without_latency_is_open_loop_replay():
    executor = Executor(Table(TABLE), Sync(10))
    records = play(executor, DoubleIntegrator(), 95)
    assert np.array_equal([r.action for r in records], TABLE[:95])
    assert ticks_of(records, "started") == ticks_of(records, "delivered") == list(range(0, 95, 10))
    assert not any(r.hold or r.inferring for r in records)


@pytest.mark.parametrize("strategy", [Sync(10), NaiveAsync(10), PrefixAsync(10, EstimatedPrefix())])
def test_without_latency_every_strategy_is_the_same(strategy):
    reference = play(Executor(Table(TABLE), Sync(10)), DoubleIntegrator(), 60)
    records = play(Executor(Table(TABLE), strategy), DoubleIntegrator(), 60)
    assert np.array_equal([r.action for r in records], [r.action for r in reference])


def test_sync_holds_while_it_infers():
    plant = DoubleIntegrator()
    records = play(Executor(Table(TABLE), Sync(10), Constant(0.08)), plant, 30)
    holds = [r.tick for r in records if r.hold]
    assert holds == [0, 1, 2, 13, 14, 15, 26, 27, 28]
    assert ticks_of(records, "started") == [0, 13, 26]
    assert all(np.array_equal(records[t].action, records[12].action) for t in (13, 14, 15))
    assert [records[t].index for t in (3, 12, 16)] == [0, 9, 0]
    assert [records[t].age_ticks for t in (3, 12, 16)] == [3, 12, 3]
    assert plant.captures == 3


def test_naive_swaps_on_arrival_aligned_in_time():
    records = play(Executor(Table(TABLE), NaiveAsync(10), Constant(0.08)), DoubleIntegrator(), 40)
    assert ticks_of(records, "started") == [0, 13, 23, 33]
    assert [(r.tick, r.index, r.age_ticks) for r in records if r.seam] == [
        (16, 3, 3),
        (26, 3, 3),
        (36, 3, 3),
    ]
    assert np.array_equal([r.action for r in records[16:]], TABLE[16:40])
    assert not any(r.hold for r in records[3:])


def test_prefix_is_committed_and_repeated():
    model = Wave()
    executor = Executor(model, PrefixAsync(10, 5), Constant(0.08))
    plant = DoubleIntegrator(start=Wave.at(0.0))
    records = play(executor, plant, 40)
    assert [call[:2] for call in model.calls] == [(0, 0), (13, 5), (23, 5), (33, 5)]
    starts = [r for r in records if r.started >= 0]
    assert [(r.d_floor, r.d_ceil, r.estimated_ticks, r.prefix_steps) for r in starts] == [
        (2, 3, 3, 0),
        (2, 3, 3, 5),
        (2, 3, 3, 5),
        (2, 3, 3, 5),
    ]
    assert all(r.latency_s == 0.08 for r in starts)
    assert not any(r.overrun for r in records)


@pytest.mark.parametrize("prefix_steps", [6, EstimatedPrefix()])
@pytest.mark.parametrize("delay", range(7))
def test_a_perfect_oracle_has_no_seam_for_any_delay_up_to_the_prefix(delay, prefix_steps):
    executor = Executor(Wave(), PrefixAsync(10, prefix_steps), Constant(delay / HZ))
    records = play(executor, DoubleIntegrator(start=Wave.at(0.3)), 100)
    seams = [r for r in records if r.seam]
    assert len(seams) >= 7
    for record in seams:
        assert np.abs(record.handover.incoming - record.handover.outgoing).max() < 1e-9
    assert not any(r.overrun for r in records)
    assert not any(r.hold for r in records[delay:])


@pytest.mark.parametrize("delay", [1, 3, 6])
def test_the_readme_alignment_skips_three_ticks_of_motion(delay):
    """Nine rows are left, six of them are the prefix: row i holds the action of tick k + i + 3."""
    strategy = PrefixAsync(prefix_steps=6, alignment="readme")
    executor = Executor(Wave(), strategy, Constant(delay / HZ))
    records = play(executor, DoubleIntegrator(start=Wave.at(0.3)), 120)
    seams = [r for r in records if r.seam]
    assert len(seams) >= 3
    for record in seams:
        out, into = record.handover.outgoing, record.handover.incoming
        phase = np.arctan2(out[0][1], out[0][0])
        assert into[0] == pytest.approx(Wave.at(phase + 3 * Wave.omega))
        jump = np.hypot(*(into[0] - out[0])[:2])
        assert jump == pytest.approx(2 * np.sin(1.5 * Wave.omega), rel=1e-6)


def test_the_readme_alignment_is_consistent_only_when_the_prefix_is_all_that_is_left():
    strategy = PrefixAsync(prefix_steps=9, alignment="readme")
    records = play(
        Executor(Wave(), strategy, Constant(0.1)), DoubleIntegrator(start=Wave.at(0.3)), 120
    )
    for record in (r for r in records if r.seam):
        assert np.abs(record.handover.incoming - record.handover.outgoing).max() < 1e-9


def test_a_delay_beyond_the_prefix_is_flagged_and_said_once(caplog, monkeypatch):
    monkeypatch.setattr("xr0_sim.runtime.executor._overruns_told", set())
    executor = Executor(Wave(), PrefixAsync(10, 2), Constant(0.2))
    with caplog.at_level(logging.WARNING):
        records = play(executor, DoubleIntegrator(start=Wave.at(0)), 80)
    flagged = [r for r in records if r.overrun]
    assert [r.delivered for r in flagged] == ticks_sequence(records)[1:]
    assert len(caplog.records) == 1
    assert "took 6 ticks but its prefix covers 2" in caplog.text


def ticks_sequence(records):
    return [r.delivered for r in records if r.delivered >= 0]


@pytest.mark.parametrize("error", [-2, -1, 0, 1, 2])
def test_estimator_error_moves_the_prefix_not_the_delay(error):
    strategy = PrefixAsync(10, EstimatedPrefix())
    executor = Executor(Wave(), strategy, Constant(0.1), TrueDelay(error))
    records = play(executor, DoubleIntegrator(start=Wave.at(0)), 60)
    starts = [r for r in records if r.started >= 0]
    assert {r.d_ceil for r in starts} == {3}
    assert {r.prefix_steps for r in starts[1:]} == {3 + error}
    assert any(r.overrun for r in records) == (error < 0)


def test_the_estimator_learns_from_delivered_inferences_only():
    latency = WarmupSpike(0.2, Constant(0.04))
    executor = Executor(Wave(), NaiveAsync(10), latency, LastDelay(initial_ticks=1))
    starts = [r for r in play(executor, DoubleIntegrator(), 60) if r.started >= 0]
    assert [r.estimated_ticks for r in starts[:4]] == [1, 6, 2, 2]


def test_starvation_holds_and_recovers():
    executor = Executor(Table(TABLE), NaiveAsync(10), Constant(25 / HZ))
    records = play(executor, DoubleIntegrator(), 150)
    # Chunk 0 runs out 30 rows after its start in tick 25; chunk 1, captured in 35, comes in 60.
    assert [r.tick for r in records[:61] if r.hold] == [*range(25), *range(55, 60)]
    assert all(np.array_equal(records[t].action, records[54].action) for t in range(55, 60))
    assert records[60].index == 25 and records[60].seam
    assert np.array_equal(records[60].handover.outgoing, np.tile(records[54].action, (3, 1)))


def test_a_chunk_that_arrives_stale_is_dropped_and_the_next_starts_from_rest():
    executor = Executor(Table(TABLE), NaiveAsync(10), Constant(35 / HZ))
    records = play(executor, DoubleIntegrator(), 200)
    delivered = [(r.tick, r.delivered, r.index) for r in records if r.delivered >= 0]
    assert delivered[:3] == [(35, 0, 0), (80, 1, -1), (115, 2, 0)]
    assert sum(not r.hold for r in records) >= 60


def test_the_first_tick_can_be_chosen_and_queue_counts_down():
    executor = Executor(Table(TABLE), NaiveAsync(30))
    plant = DoubleIntegrator()
    plant.reset(0)
    plant.tick = 7
    executor.reset(0, np.zeros(ENV_ACTION_DIM), first_tick=7)
    records = []
    for _ in range(3):
        records.append(executor.tick(plant.observe))
        plant.step(records[-1].action)
    assert [(r.tick, r.queue) for r in records] == [(7, 29), (8, 28), (9, 27)]
    assert executor.committed(4).shape == (4, ENV_ACTION_DIM)


def test_observation_is_asked_for_at_captures_only():
    plant = DoubleIntegrator()
    records = play(Executor(Table(TABLE), NaiveAsync(10), Constant(0.08)), plant, 100)
    assert plant.captures == len(ticks_of(records, "started")) == 10


def test_noise_seeds_and_latencies_are_shared_between_strategies():
    def run(strategy):
        model = Wave()
        executor = Executor(model, strategy, LogNormal(0.1, 0.03))
        records = play(executor, DoubleIntegrator(start=Wave.at(0)), 120, seed=5)
        latencies = [r.latency_s for r in records if r.started >= 0]
        return [call[2] for call in model.calls], latencies

    (noise_a, latency_a), (noise_b, latency_b) = run(Sync(10)), run(PrefixAsync(10, 6))
    shared = min(len(noise_a), len(noise_b))
    assert shared >= 8
    assert noise_a[:shared] == noise_b[:shared] == [(5, n) for n in range(shared)]
    assert latency_a[:shared] == latency_b[:shared]


def test_virtual_time_never_sleeps(monkeypatch):
    def refuse(seconds):
        raise AssertionError("slept")

    monkeypatch.setattr(time, "sleep", refuse)
    began = time.perf_counter()
    play(Executor(Table(TABLE), Sync(10), Constant(20.0)), DoubleIntegrator(), 650)
    assert time.perf_counter() - began < 10


def test_the_overhead_of_a_tick_is_small():
    actions = np.zeros((20_000, ENV_ACTION_DIM))
    executor = Executor(Table(actions), NaiveAsync(10), Constant(0.08))
    plant = DoubleIntegrator()
    plant.reset(0)
    observation = plant.observe()
    executor.reset(0, plant.command)

    def observe():
        object.__setattr__(observation, "tick", executor._tick)
        return observation

    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(400):
            executor.tick(observe)
        best = min(best, (time.perf_counter() - began) / 400)
    assert best < 200e-6


def test_actions_cannot_be_written_to():
    records = play(Executor(Table(TABLE), Sync(10), Constant(0.08)), DoubleIntegrator(), 8)
    for record in records:
        with pytest.raises(ValueError, match="read-only"):
            record.action[0] = 1.0


class Careless(Table):
    """Breaks its contract in the way it is told to."""

    def __init__(self, fault):
        super().__init__(TABLE)
        self.fault = fault

    def infer(self, observation, prefix, noise_seed):
        chunk = super().infer(observation, prefix, noise_seed)
        if self.fault == "short":
            return ActionChunk(chunk.actions[:-1], chunk.first_tick)
        if self.fault == "late":
            return ActionChunk(chunk.actions, chunk.first_tick + 1)
        return ActionChunk(chunk.actions + 1e-9, chunk.first_tick)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("short", f"expected {HORIZON} rows from tick 0, got 29"),
        ("late", "from tick 0, got 30 from tick 1"),
        ("prefix", "expected the first 6 rows to repeat the prefix"),
    ],
)
def test_a_model_that_breaks_its_contract_is_named(fault, message):
    executor = Executor(Careless(fault), PrefixAsync(10, 6), Constant(0.08), FixedDelay(6))
    with pytest.raises(ConfigError, match=message):
        play(executor, DoubleIntegrator(), 40)


@pytest.mark.parametrize("latency_s", [0.0, 0.08])
def test_the_three_parts_of_a_tick_are_the_tick(latency_s):
    whole = play(Executor(Wave(), PrefixAsync(10, 5), Constant(latency_s)), DoubleIntegrator(), 40)
    model, plant = Wave(), DoubleIntegrator()
    executor = Executor(model, PrefixAsync(10, 5), Constant(latency_s))
    plant.reset(0)
    executor.reset(0, plant.robot_state().command)
    with pytest.raises(ConfigError, match=r"expected request\(\)"):
        executor.select()
    for record in whole:
        asked = executor.request(plant.observe)
        assert (asked is None) == (record.started < 0)
        with pytest.raises(ConfigError, match=r"expected select\(\) before"):
            executor.request(plant.observe)
        if asked is not None:
            with pytest.raises(ConfigError, match="its answer"):
                executor.select()
            executor.submit(model.infer(asked.observation, asked.prefix, asked.noise_seed))
        with pytest.raises(ConfigError, match=r"only to what request\(\)"):
            executor.submit(ActionChunk(np.zeros((HORIZON, ENV_ACTION_DIM)), record.tick))
        found = executor.select()
        assert np.array_equal(found.action, record.action)
        assert repr(found) == repr(record)
        plant.step(found.action)


def test_misuse_is_refused():
    executor = Executor(Wave(), Sync(10))
    plant = DoubleIntegrator()
    with pytest.raises(ConfigError, match="expected reset"):
        executor.tick(plant.observe)
    with pytest.raises(ConfigError, match="expected shape"):
        executor.reset(0, np.zeros(3))
    with pytest.raises(ConfigError, match="seed: expected an integer >= 0"):
        executor.reset(-1, np.zeros(ENV_ACTION_DIM))
    plant.reset(0)
    executor.reset(0, plant.command, first_tick=4)
    with pytest.raises(ConfigError, match="expected a capture in tick 4, got tick 0"):
        executor.tick(plant.observe)
