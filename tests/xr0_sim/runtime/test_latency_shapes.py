"""Latencies with tails, bursts and spikes: their figures, and their memory across a branch."""

import numpy as np
import pytest
from toys import DoubleIntegrator, Wave

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.runtime import Executor, NaiveAsync
from xr0_sim.runtime.latency.base import LatencyContext
from xr0_sim.runtime.latency.bursts import MarkovBursts, Spikes
from xr0_sim.runtime.latency.presets import parse_latency
from xr0_sim.runtime.latency.tails import GammaTail, Normal


def series(model, count, seed=0):
    """Latencies of an episode, each drawn after the one before."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        previous = found[-1] if found else None
        found.append(model.sample(rng, LatencyContext(number, 0, False, previous)))
    return np.array(found)


def test_normal_is_cut_off_at_zero():
    draws = series(Normal(0.1, 0.02), 4000)
    assert draws.mean() == pytest.approx(0.1, rel=0.01)
    assert draws.std() == pytest.approx(0.02, rel=0.05)
    assert series(Normal(0.0, 0.05), 100).min() == 0.0


def test_gamma_has_its_floor_its_mean_and_its_variance():
    draws = series(GammaTail(0.07, 0.02, 0.5), 20000)
    assert draws.min() >= 0.07
    assert draws.mean() == pytest.approx(0.09, rel=0.02)
    assert (draws - 0.07).std() == pytest.approx(0.02 / 0.5**0.5, rel=0.05)


def test_bursts_have_their_share_and_their_length():
    bursts = series(MarkovBursts(0.08, 0.3, 0.05, 0.4), 20000) == 0.3
    assert bursts.mean() == pytest.approx(0.05 / 0.45, rel=0.08)
    begun = np.flatnonzero(np.diff(np.concatenate([[0], bursts.astype(int)])) == 1)
    assert bursts.sum() / len(begun) == pytest.approx(1 / 0.4, rel=0.08)


@pytest.mark.parametrize(
    ("spikes", "numbers"),
    [
        (Spikes(), [0]),
        (Spikes(first=2, every=5), [2, 7, 12]),
        (Spikes(first=1, every=6, length=2), [1, 2, 7, 8, 13, 14]),
    ],
)
def test_spikes_come_on_schedule(spikes, numbers):
    assert np.flatnonzero(series(spikes, 15) == 0.7).tolist() == numbers


def test_an_episode_and_its_branch_draw_the_same_bursts():
    executor = Executor(Wave(), NaiveAsync(2), MarkovBursts(0.03, 0.1, 0.4, 0.4))
    plant = DoubleIntegrator()
    plant.reset(0)
    executor.reset(5, np.zeros(ENV_ACTION_DIM))

    for _ in range(20):
        executor.tick(plant.observe)
        plant.tick += 1
    branch = executor.branch()
    drawn = []
    for runner in (executor, branch):
        plant.tick = 20
        found = []
        for _ in range(40):
            record = runner.tick(plant.observe)
            plant.tick += 1
            if record.started >= 0:
                found.append(record.latency_s)
        drawn.append(found)
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {0.03, 0.1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bursts:calm_s=0.3,burst_s=0.2", "burst_s"),
        ("bursts:enter=1.5", "probabilities"),
        ("spikes:every=2,length=2", "fewer than every"),
        ("spikes:length=0", "length >= 1"),
        ("gamma:shape=0", "shape"),
        ("normal:mean_s=-1,std_s=0", "mean_s"),
    ],
)
def test_shapes_without_sense_are_refused(text, told):
    with pytest.raises(ConfigError, match=told):
        parse_latency(text)
