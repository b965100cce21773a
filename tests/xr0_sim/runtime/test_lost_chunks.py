"""Chunks that never arrive: the robot goes on with what it has, and asks again."""

from itertools import pairwise

import numpy as np
import pytest
from toys import Wave

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.compute import compute_figures, looks
from xr0_sim.metrics.reaction import earliest_reaction_ticks
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.presets import parse_latency
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import Observation, RobotState


def play(text, strategy, ticks=300, seed=0):
    executor = Executor(Wave(), strategy, parse_latency(text))
    start = np.zeros(ENV_ACTION_DIM)
    executor.reset(seed, start)
    parts = (np.zeros((2, 6)), np.zeros((2, 6)), np.zeros(2), np.zeros((2, 3)), np.zeros((2, 4)))
    records = []
    for tick in range(ticks):
        seen = Observation(tick, tick_ns(tick), RobotState(*parts, start), {}, "go")
        records.append(executor.tick(lambda seen=seen: seen))
    names = ("started", "delivered", "d_ceil", "prefix_steps", "latency_s", "lost", "age_ticks")
    return {name: np.array([getattr(r, name) for r in records]) for name in names}, records


def test_lost_chunks_are_given_up_and_asked_for_again():
    log, records = play("lossy:latency_s=0.1,loss=0.4,timeout_s=0.3", Sync(10))
    lost = log["started"][log["lost"]]
    assert 3 <= len(lost) == compute_figures(log, CONTROL_HZ)["lost_chunks"]
    assert not set(lost) & set(log["delivered"]) and not set(lost) & {r.chunk_id for r in records}
    # One at a time: after a loss the next begins in the tick in which it is given up.
    begun = np.flatnonzero(log["started"] >= 0)
    for tick, after in pairwise(begun.tolist()):
        assert after - tick == (9 if log["lost"][tick] else 3 + 10)


def test_without_loss_it_is_a_constant_latency_and_with_all_lost_the_robot_holds():
    plain, _ = play("constant:latency_s=0.1", NaiveAsync(10))
    none, _ = play("lossy:latency_s=0.1,loss=0", NaiveAsync(10))
    assert all(np.array_equal(plain[name], none[name], True) for name in plain)
    _, records = play("lossy:loss=1", NaiveAsync(10), ticks=60)
    assert all(record.hold for record in records)


def test_a_lost_capture_is_no_look():
    log, _ = play("lossy:latency_s=0.1,loss=0.4,timeout_s=0.3", NaiveAsync(10))
    tick = int(np.flatnonzero(log["lost"])[0])
    given = (tick - 1, log["started"], log["d_ceil"], log["prefix_steps"])
    later = next(k for k in np.flatnonzero(looks(log)).tolist() if k > tick)
    assert earliest_reaction_ticks(*given, ~looks(log)) == later - tick + 1 + 3
    assert earliest_reaction_ticks(*given) < later - tick + 1 + 3


def test_chunks_that_overtake_one_another_never_bring_older_pictures_back():
    log, records = play("gamma:floor_s=0.05,tail_s=0.2", Pipelined(3, 4))
    arrived = log["delivered"][log["delivered"] >= 0]
    assert (np.diff(arrived) < 0).any()  # out of order
    captured = [r.tick - r.age_ticks for r in records if not r.hold]
    assert (np.diff(captured) >= 0).all()


@pytest.mark.parametrize("wrong", ["loss=2", "timeout_s=0.01", "latency_s=-1"])
def test_what_no_network_does_is_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        parse_latency(f"lossy:{wrong}")
