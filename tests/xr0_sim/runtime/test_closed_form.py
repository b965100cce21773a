"""Ages, capture periods, starvation and reactions of every strategy against closed forms.

A plan that is a function of the tick has no seams, so all that a strategy decides is which capture
supplies which tick. With s ticks between captures, delay d and an event uniform over the ticks, the
first command that can differ comes (s + 1) / 2 + d ticks later on average, and s + d at worst.
"""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.metrics.reaction import earliest_reaction_ticks
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.strategies.bid import Bid
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.roll_forward import RollForward
from xr0_sim.runtime.strategies.rtc import Rtc
from xr0_sim.runtime.strategies.shared_noise import SharedNoise
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.runtime.strategies.temporal_ensemble import TemporalEnsemble
from xr0_sim.types import CAPABILITIES, ActionChunk, Observation

HORIZON = 30
TICKS, SETTLED = 160, 60


class Planner:
    """The tick, plus 1000 from the event on, once it has been seen."""

    capabilities = frozenset(CAPABILITIES)
    horizon = HORIZON
    event = TICKS

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        rows = np.arange(observation.tick, observation.tick + HORIZON, dtype=float)
        return self._chunk(observation, rows, prefix)

    def infer_request(self, request):
        first = request.observation.tick + len(request.assumed)
        rows = np.arange(first, first + HORIZON, dtype=float)
        return [self._chunk(request.observation, rows, request.prefix)] * request.samples

    def _chunk(self, observation, rows, prefix):
        seen = 1000.0 * (observation.tick > self.event)
        actions = np.repeat(rows[:, None] + seen, ENV_ACTION_DIM, axis=1)
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, observation.tick)


def play(strategy, delay, event=TICKS):
    model = Planner()
    model.event = event
    executor = Executor(model, strategy, Constant(delay / CONTROL_HZ))
    executor.reset(0, np.zeros(ENV_ACTION_DIM))
    records = []
    for tick in range(TICKS):
        seen = Observation(tick, tick_ns(tick), None, {}, "go", None)
        records.append(executor.tick(lambda seen=seen: seen))
    return records


def serial(horizon):
    """Period of strategies that capture after T_e rows, aligned in time; ages at delay d."""
    return lambda d: max(horizon, d), lambda d: (d, max(horizon, d) + d - 1)


CASES = {
    "naive_async": (NaiveAsync(10), *serial(10)),
    "rtc": (Rtc(10), *serial(10)),
    "bid": (Bid(10, samples=2), *serial(10)),
    "shared_noise": (SharedNoise(10), *serial(10)),
    "temporal_ensemble": (TemporalEnsemble(1), *serial(1)),
    # T_e rows, then the wait.
    "sync": (Sync(10), lambda d: 10 + d, lambda d: (d, 10 + d - 1)),
    # Row 0 is due at the arrival, and T_e rows are executed from there.
    "roll_forward": (RollForward(10), lambda d: 10 + d, lambda d: (d, 10 + 2 * d - 1)),
    # At most three under way: the fourth waits for the first.
    "pipelined": (
        Pipelined(3, 3),
        lambda d: max(3, d / 3),
        lambda d: (d, d + max(3, d - 6) - 1),
    ),
}


@pytest.mark.parametrize("delay", range(13))
@pytest.mark.parametrize("name", CASES)
def test_periods_ages_and_starvation(name, delay):
    strategy, period, ages = CASES[name]
    records = play(strategy, delay)[SETTLED:]
    captures = [record.tick for record in records if record.started >= 0]
    assert np.mean(np.diff(captures)) == pytest.approx(period(delay), rel=0.03)
    found = [record.age_ticks for record in records if not record.hold]
    least, most = ages(delay)
    assert min(found) == least
    assert max(found) == most
    whole = records[captures[0] - SETTLED : captures[-1] - SETTLED]
    held = np.mean([record.hold for record in whole])
    assert held == pytest.approx(delay / (10 + delay) if name == "sync" else 0.0)
    assert not any(record.overrun for record in records)


@pytest.mark.parametrize("delay", [0, 3, 8])
@pytest.mark.parametrize("name", ["naive_async", "sync", "temporal_ensemble", "roll_forward"])
def test_reactions_follow_the_law_of_the_schedule(name, delay):
    strategy, period, _ = CASES[name]
    s = period(delay)
    twin = play(strategy, delay)
    found = []
    for event in range(SETTLED, SETTLED + 3 * s):
        run = play(strategy, delay, event)
        differs = [a.action[0] != b.action[0] for a, b in zip(run, twin, strict=True)]
        found.append(differs.index(True) - event)
        started = [record.started for record in run]
        bound = earliest_reaction_ticks(
            event, started, [r.d_ceil for r in run], [r.prefix_steps for r in run]
        )
        assert found[-1] == bound
    assert np.mean(found) == pytest.approx((s + 1) / 2 + delay)
    assert max(found) == s + delay
