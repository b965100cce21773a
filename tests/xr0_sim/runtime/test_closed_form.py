"""Ages, capture periods, starvation and reactions of every strategy against closed forms.

A plan that is a function of the tick has no seams, so all that a strategy decides is which capture
supplies which tick. With s ticks between captures, delay d and an event uniform over the ticks, the
first command that can differ comes (s + 1) / 2 + d ticks later on average, and s + d at worst.
"""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.metrics.compute import compute_figures
from xr0_sim.metrics.reaction import earliest_reaction_ticks
from xr0_sim.metrics.schedule import open_loop_ticks, schedule_figures
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.latency.parts import Parts
from xr0_sim.runtime.strategies.bid import Bid
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.roll_forward import RollForward
from xr0_sim.runtime.strategies.rtc import Rtc
from xr0_sim.runtime.strategies.shared_noise import SharedNoise
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.runtime.strategies.temporal_ensemble import TemporalEnsemble
from xr0_sim.runtime.strategies.two_rate import TwoRate
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
        looked = request.memory if request.refresh is not None else None
        chunk = self._chunk(request.observation, rows, request.prefix, looked)
        return [chunk] * request.samples

    def _chunk(self, observation, rows, prefix, looked=None):
        looked = observation.tick if looked is None else looked
        seen = 1000.0 * (looked > self.event)
        actions = np.repeat(rows[:, None] + seen, ENV_ACTION_DIM, axis=1)
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, observation.tick, memory=looked)


def play(strategy, delay=0, event=TICKS, latency=None):
    model = Planner()
    model.event = event
    executor = Executor(model, strategy, latency or Constant(delay / CONTROL_HZ))
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
    law = schedule_figures(columns(twin), CONTROL_HZ)
    # In whole ticks an event waits half a tick more than in continuous time.
    assert law["expected_reaction_s"] * CONTROL_HZ == pytest.approx(np.mean(found) - 0.5, abs=0.3)
    assert law["worst_reaction_s"] * CONTROL_HZ == pytest.approx(max(found), abs=0.6)
    assert law["serial_floor_s"] == pytest.approx(1.5 * delay / CONTROL_HZ)


def columns(records):
    names = ("started", "d_ceil", "prefix_steps", "latency_s", "hold", "age_ticks")
    found = {name: np.array([getattr(r, name) for r in records]) for name in names}
    return found | {n: np.array([getattr(r, n) for r in records]) for n in ("refresh", "flops")}


@pytest.mark.parametrize("prefix", [0, 2, 6])
@pytest.mark.parametrize("delay", [1, 4])
def test_a_prefix_freezes_what_it_covers(prefix, delay):
    strategy = PrefixAsync(10, prefix_steps=prefix)
    twin = play(strategy, delay)
    found = [differs(play(strategy, delay, e), twin) - e for e in range(SETTLED, SETTLED + 10)]
    assert np.mean(found) == pytest.approx(11 / 2 + max(delay, prefix))
    law = schedule_figures(columns(twin[SETTLED:]), CONTROL_HZ)
    assert law["expected_reaction_s"] == pytest.approx((5 + max(delay, prefix)) / CONTROL_HZ)
    assert law["worst_reaction_s"] == pytest.approx((10 + max(delay, prefix)) / CONTROL_HZ)
    assert law["capture_spacing_mean_ticks"] == 10


def differs(run, twin):
    return [a.action[0] != b.action[0] for a, b in zip(run, twin, strict=True)].index(True)


@pytest.mark.parametrize("name", ["naive_async", "sync", "pipelined"])
@pytest.mark.parametrize("delay", [3, 6])
def test_stale_actions_load_and_rate_of_a_schedule(name, delay):
    strategy, period, _ = CASES[name]
    whole = play(strategy, delay)
    first = next(r.tick for r in whole if r.started >= 0 and r.tick >= SETTLED)
    span = 5 * int(period(delay))
    seen = columns(whole[first : first + span])
    law = schedule_figures(seen, CONTROL_HZ)
    # While the newest picture is worked on, what is executed knows an older one; sync holds.
    wait = min(delay / period(delay), 1.0)
    assert law["stale_share"] == pytest.approx(0.0 if name == "sync" else wait)
    held = delay / (10 + delay) if name == "sync" else 0.0
    assert law["effective_control_hz"] == pytest.approx(CONTROL_HZ * (1 - held))
    # All but the last inferences end within the span.
    load = compute_figures(columns(whole), CONTROL_HZ)["device_load"]
    assert load == pytest.approx(delay / period(delay), abs=0.06)


def test_two_rates_react_to_looks_and_not_to_refreshes():
    strategy, full, refresh = TwoRate(full_every=10, refresh_every=6), 4, 1
    latency = Parts(vlm_s=(full - refresh) / CONTROL_HZ, expert_s=refresh / CONTROL_HZ)
    twin = play(strategy, latency=latency)
    law = schedule_figures(columns(twin[SETTLED:]), CONTROL_HZ)
    assert law["capture_spacing_mean_ticks"] == 10
    assert law["expected_reaction_s"] == pytest.approx((5 + full) / CONTROL_HZ)
    told = compute_figures(columns(twin), CONTROL_HZ)
    assert told["refreshes"] == pytest.approx(TICKS / 10, abs=1)
    assert told["device_load"] == pytest.approx((full + refresh) / 10, abs=0.03)
    found = []
    for event in range(SETTLED, SETTLED + 10):
        run = play(strategy, event=event, latency=latency)
        seen = columns(run)
        found.append(differs(run, twin) - event)
        given = (event, seen["started"], seen["d_ceil"], seen["prefix_steps"])
        assert found[-1] == earliest_reaction_ticks(*given, seen["refresh"])
    # Had a refresh been a look, half of the events would have been due sooner.
    assert np.mean(found) == pytest.approx(11 / 2 + full)
    assert open_loop_ticks(SETTLED, (seen["started"] >= 0) & ~seen["refresh"]) in range(1, 11)
