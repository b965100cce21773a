"""What both plans are where a chunk hands over to the next, and whose latency an inference has."""

from __future__ import annotations

import numpy as np
import pytest
from toys import DoubleIntegrator, Wave

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.base import LatencyContext
from xr0_sim.runtime.latency.models import LogNormal
from xr0_sim.runtime.random_streams import Stream, stream_rng
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.tick_record import Handover, continued
from xr0_sim.runtime.timeline import PlacedChunk


def chunk(column):
    actions = np.repeat(np.array(column, float)[:, None], ENV_ACTION_DIM, axis=1)
    return PlacedChunk.place(0, actions, capture_tick=0, start_tick=0, takeover_tick=0)


@pytest.mark.parametrize(
    ("column", "index", "rows"),
    [
        ([0, 1, 3, 6, 10], 1, [1, 3, 6]),
        ([0, 1, 3, 6, 10], 2, [3, 6, 10]),
        ([0, 1, 3, 6, 10], 3, [6, 10, 14]),
        ([0, 1, 3, 6, 10], 4, [10, 14, 18]),
        ([0, 1, 3, 6, 10], 5, [14, 18, 22]),
        ([7], 0, [7, 7, 7]),
    ],
)
def test_a_plan_goes_on_at_constant_velocity_past_its_end(column, index, rows):
    assert continued(chunk(column), index)[:, 0].tolist() == rows


def test_the_gap_is_the_incoming_plan_minus_the_outgoing_one():
    handover = Handover(outgoing=np.full((3, 14), 2.0), incoming=np.full((3, 14), 5.0))
    assert (handover.gap == 3.0).all()


def test_every_inference_draws_the_latency_of_its_own_number():
    latency, plant = LogNormal(0.1, 0.05), DoubleIntegrator(start=Wave.at(0.0))
    executor = Executor(Wave(), NaiveAsync(5), latency)
    plant.reset(4)
    executor.reset(4, plant.command)
    drawn = []
    for _ in range(60):
        record = executor.tick(plant.observe)
        plant.step(record.action)
        drawn += [record.latency_s] if record.started >= 0 else []
    context = LatencyContext(0, 0)
    rngs = [stream_rng(4, Stream.LATENCY, number) for number in range(len(drawn))]
    assert drawn == [latency.sample(rng, context) for rng in rngs]
    assert len(set(drawn)) == len(drawn) > 5


def test_the_mean_of_widely_spread_latencies_is_the_mean_in_seconds():
    model, context = LogNormal(0.1, 0.1), LatencyContext(0, 0)
    rng = np.random.default_rng(0)
    draws = [model.sample(rng, context) for _ in range(20_000)]
    assert np.mean(draws) == pytest.approx(0.1, rel=0.03)
