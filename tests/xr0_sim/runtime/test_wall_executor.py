"""Answers that come when they come: what virtual time with the same latencies would do."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.estimator import FixedDelay, LastDelay, TrueDelay
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.runtime.wall_executor import WallExecutor
from xr0_sim.types import ActionChunk, ChunkRequest, Observation, RobotState, infer_chunks

HZ = 30
ROBOT = RobotState(*(np.zeros(shape) for shape in ((2, 6), (2, 6), (2,), (2, 3), (2, 4), (14,))))


class Counter:
    """Row i of a chunk from tick k is k + i / 100, behind its prefix."""

    needs_images = False
    horizon = 30
    capabilities = frozenset({"prefix"})

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        rows = observation.tick + np.arange(30.0)[:, None] / 100 + np.zeros((30, 14))
        rows[: len(prefix)] = prefix
        return ActionChunk(rows, observation.tick)


def seen(tick):
    return Observation(tick, tick * 10**9 // HZ, ROBOT, {}, "")


class Listed:
    """Latencies from a list."""

    label = "listed"

    def __init__(self, seconds):
        self.seconds = seconds

    def sample(self, rng, context):
        return self.seconds[context.number]


def play(strategy, estimator, ticks_of, ticks=80):
    """A wall run whose n-th answer is found ticks_of[n] ticks after its capture."""
    executor = WallExecutor(Counter(), strategy, estimator=estimator)
    executor.reset(3, np.zeros(14))
    waiting, records = [], []
    for tick in range(ticks):
        for due, number, request in [entry for entry in waiting if entry[0] == tick]:
            (chunk,) = infer_chunks(Counter(), request)
            late = (due - request.observation.tick - 0.3) / HZ
            executor.arrive(number, chunk, late)
        executor.request(lambda tick=tick: seen(tick))
        posted = executor.post()
        if posted is not None:
            waiting.append((tick + ticks_of[posted[0]], *posted))
        records.append(executor.select())
    return records, executor.measured


@pytest.mark.parametrize("strategy", [Sync(8), NaiveAsync(8), PrefixAsync(8)])
@pytest.mark.parametrize("estimator", [FixedDelay(3), LastDelay()])
def test_virtual_time_repeats_it(strategy, estimator):
    ticks_of = [1, 3, 2, 6, 9, 1, 4, 4, 2, 3, 3, 3, 3, 3, 3, 3]
    records, measured = play(strategy, estimator, ticks_of)
    latencies = [measured.get(n, 9.0) for n in range(len(ticks_of))]
    virtual = Executor(Counter(), strategy, Listed(latencies), estimator)
    virtual.reset(3, np.zeros(14))
    for record in records:
        other = virtual.tick(lambda record=record: seen(record.tick))
        np.testing.assert_array_equal(record.action, other.action)
        for name in ("chunk_id", "index", "hold", "queue", "delivered", "prefix_steps", "overrun"):
            assert getattr(record, name) == getattr(other, name), (record.tick, name)


def test_a_measurement_outside_of_its_tick_is_moved_into_it():
    executor = WallExecutor(Counter(), Sync(8), estimator=FixedDelay(3))
    for told_s, expected_s in ((0.05, 0.05), (0.2, 1.5 / HZ), (0.001, 1.5 / HZ)):
        executor.reset(0, np.zeros(14))
        executor.request(lambda: seen(0))
        number, request = executor.post()
        executor.select()
        executor.request(lambda: seen(1))
        assert executor.post() is None
        executor.select()
        executor.arrive(
            number, Counter().infer(request.observation, request.prefix, (0, 0)), told_s
        )
        assert executor.measured[number] == pytest.approx(expected_s)
        executor.request(lambda: seen(2))
        assert not executor.select().hold


def test_what_nobody_asked_for_is_refused():
    executor = WallExecutor(Counter(), Sync(8), estimator=FixedDelay(3))
    executor.reset(0, np.zeros(14))
    chunk = Counter().infer(seen(0), np.zeros((0, 14)), (0, 0))
    with pytest.raises(ConfigError, match="expected an answer to one of"):
        executor.arrive(0, chunk, 0.1)
    executor.request(lambda: seen(0))
    number, _ = executor.post()
    executor.select()
    executor.arrive(number, chunk, 0.03)
    with pytest.raises(ConfigError, match="expected an answer to one of"):
        executor.arrive(number, chunk, 0.03)
    with pytest.raises(ConfigError, match="does not know the true delay"):
        WallExecutor(Counter(), Sync(8), estimator=TrueDelay()).reset(0, np.zeros(14))


def test_a_request_is_what_the_strategy_asked():
    executor = WallExecutor(Counter(), PrefixAsync(8), estimator=FixedDelay(2))
    executor.reset(0, np.zeros(14))
    executor.request(lambda: seen(0))
    number, request = executor.post()
    assert isinstance(request, ChunkRequest) and number == 0 and len(request.prefix) == 0


def test_a_chunk_that_is_not_what_was_asked_for_is_refused():
    executor = WallExecutor(Counter(), PrefixAsync(8), estimator=FixedDelay(2))
    executor.reset(0, np.zeros(14))
    for tick in range(20):
        executor.request(lambda tick=tick: seen(tick))
        posted = executor.post()
        executor.select()
        if tick == 0:
            executor.arrive(posted[0], Counter().infer(seen(0), np.zeros((0, 14)), (0, 0)), 0.02)
        elif posted is not None:
            break
    number, request = posted
    assert len(request.prefix) == 2
    right = Counter().infer(request.observation, request.prefix, (0, 1)).actions
    for actions, first, expected in (
        (right[:-1], tick, "30 rows"),
        (right, tick + 1, f"from tick {tick}"),
        (right + 1.0, tick, "repeat the prefix"),
    ):
        other = WallExecutor.branch(executor)
        other._prefixes = dict(executor._prefixes)
        with pytest.raises(ConfigError, match=expected):
            other.arrive(number, ActionChunk(actions, first), 0.02)
