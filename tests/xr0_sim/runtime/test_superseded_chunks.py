"""Strategies with several inferences under way and a prefix keep to one chain of chunks."""

from __future__ import annotations

import numpy as np
import pytest
from clocks import Marked, play

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.latency.parts import Parts
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.two_rate import TwoRate
from xr0_sim.types import Observation


@pytest.mark.parametrize("delay", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("strategy", [Pipelined(3, 3, longest_prefix=12), TwoRate(10, 3, 12)])
def test_what_acts_had_a_prefix_that_held(strategy, delay):
    """Chunks differ by 100 each: one whose prefix was superseded would jump by that."""
    records, model = play(strategy, 120, delay, model=Marked())
    acting = sorted({record.chunk_id for record in records if not record.hold})
    assert len(acting) >= 120 / (2 * delay + 3)
    for number in acting[1:]:
        request = model.requests[number]
        tick = request.observation.tick
        rows = [record.action for record in records[tick : tick + delay]]
        np.testing.assert_array_equal(request.prefix[: len(rows)], rows)
    captures = [model.requests[number].observation.tick for number in acting]
    assert np.diff(captures).min() >= delay


@pytest.mark.parametrize(("vlm", "expert"), [(3, 1), (3, 2)])
def test_of_two_that_arrive_in_one_tick_the_newer_acts(vlm, expert):
    """What was executed up to that tick is what both had been told."""
    latency = Parts(vlm / CONTROL_HZ, expert / CONTROL_HZ)
    records, model = play(TwoRate(10, 3, 12), 60, latency=latency, model=Marked())
    due = {r.started: r.tick + r.d_ceil for r in records if r.started >= 0}
    ties = [n for n in due if n and due[n] == due[n - 1]]
    acting = {record.tick: record.chunk_id for record in records}
    assert ties
    for number in ties:
        assert due[number] >= 60 or acting[due[number]] == number
        request = model.requests[number]
        tick = request.observation.tick
        rows = [record.action for record in records[tick : min(due[number], 60)]]
        np.testing.assert_array_equal(request.prefix[: len(rows)], rows)


def test_dropped_chunks_are_counted_in_the_tick_of_their_arrival():
    records, model = play(Pipelined(3, 3, longest_prefix=6), 61, 6, model=Marked())
    acting = {record.chunk_id for record in records}
    dropped = [r.tick for r in records if r.dropped]
    assert sum(r.dropped for r in records) == len(dropped)
    never = [n for n, r in enumerate(model.requests) if n not in acting]
    arrivals = [model.requests[n].observation.tick + 6 for n in never]
    assert dropped == [tick for tick in arrivals if tick < 61] and len(dropped) > 5
    records, _ = play(PrefixAsync(10), 60, 6)
    assert not any(record.dropped for record in records)


def test_a_branch_goes_on_with_what_is_superseded():
    model = Marked()
    model.infer = model.infer_plain
    executor = Executor(model, TwoRate(10, 3, 12), Constant(4 / CONTROL_HZ))
    executor.reset(0, np.zeros(ENV_ACTION_DIM))

    def run(runner, ticks):
        seen = (Observation(tick, tick_ns(tick), None, {}, "go", None) for tick in ticks)
        return [runner.tick(lambda it=it: it).action for it in seen]

    run(executor, range(13))
    branch = executor.branch()
    np.testing.assert_array_equal(run(executor, range(13, 50)), run(branch, range(13, 50)))


def test_a_superseded_full_inference_leaves_its_cache():
    """A refresh takes 2 ticks: that of tick 7 is placed while tick 8's full one is under way."""
    latency = Parts(2 / CONTROL_HZ, 2 / CONTROL_HZ)
    records, model = play(TwoRate(8, 3, 12), 60, latency=latency, model=Marked())
    acting = {record.chunk_id for record in records}
    dropped = [n for n, r in enumerate(model.requests) if r.refresh is None and n not in acting]
    used = {request.refresh for request in model.requests}
    assert any(number in used for number in dropped)
