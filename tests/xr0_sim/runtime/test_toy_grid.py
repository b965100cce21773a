"""The expected picture with a perfect planner: sync slows, naive jerks, prefix does neither."""

import functools

import numpy as np
import pytest
from toys import Detour, DoubleIntegrator

from xr0_sim.runtime import Constant, Executor, NaiveAsync, PrefixAsync, Sync, run_episode

DELAYS = (0, 3, 6)
STRATEGIES = {"sync": Sync(10), "naive": NaiveAsync(10), "prefix": PrefixAsync(10)}
SEEDS = range(20)


class Commands:
    """Keeps the commanded actions of an episode."""

    def on_reset(self, start):
        self.actions = []

    def on_tick(self, sample):
        self.actions.append(sample.record.action)

    def on_event(self, event):
        pass

    def on_end(self, result):
        pass


@functools.cache
def cell(name, delay):
    """Success rate, mean ticks of successes, RMS jerk of the lateral command [1/s^3]."""
    successes, ticks, jerks = [], [], []
    for seed in SEEDS:
        commands = Commands()
        executor = Executor(Detour(), STRATEGIES[name], Constant(delay / 30))
        result = run_episode(
            DoubleIntegrator(obstacle=0.12), executor, [commands], seed=seed, max_ticks=400
        )
        successes.append(result.success)
        ticks.append(result.ticks)
        jerks.append(np.sqrt(np.mean(np.diff([a[1] for a in commands.actions], 3) ** 2)) * 30**3)
    return np.mean(successes), np.mean(np.array(ticks)[successes]), np.mean(jerks)


def test_without_delay_naive_equals_sync():
    assert cell("naive", 0) == cell("sync", 0)


@pytest.mark.parametrize("delay", DELAYS[1:])
def test_sync_slows_with_delay(delay):
    base, slow, prefix = (cell(*c)[1] for c in (("prefix", 3), ("sync", delay), ("prefix", delay)))
    # One wait of `delay` ticks per ten executed rows.
    assert slow - prefix > 0.7 * delay * (base / 10 - 1)


@pytest.mark.parametrize("delay", DELAYS[1:])
def test_naive_redraws_its_side_and_jerks(delay):
    assert cell("naive", delay)[2] > 2 * cell("sync", delay)[2]
    assert cell("naive", delay)[2] > 50 * cell("prefix", delay)[2]
    assert cell("naive", delay)[1] == cell("prefix", delay)[1]


def test_prefix_stays_where_it_is():
    assert cell("prefix", 6)[1] - cell("prefix", 3)[1] < 6
    assert cell("prefix", 6)[2] == pytest.approx(cell("prefix", 3)[2], rel=0.2)


def test_a_perfect_planner_succeeds_everywhere():
    assert all(cell(name, delay)[0] == 1.0 for name in STRATEGIES for delay in DELAYS)
