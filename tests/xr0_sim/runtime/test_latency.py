import numpy as np
import pytest
from toys import DoubleIntegrator, Wave

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.registry import latencies
from xr0_sim.runtime import Executor, NaiveAsync, Sync
from xr0_sim.runtime.clock import seconds_to_ns
from xr0_sim.runtime.latency.base import LatencyContext
from xr0_sim.runtime.latency.models import Change, Constant, LogNormal, WarmupSpike
from xr0_sim.runtime.latency.parts import Parts
from xr0_sim.runtime.latency.presets import parse_latency
from xr0_sim.runtime.random_streams import Stream, stream_rng


def draw(model, number=0, time_ns=0, seed=0):
    return model.sample(stream_rng(seed, Stream.LATENCY, number), LatencyContext(number, time_ns))


PRESETS = [name for name in latencies if not isinstance(latencies[name], type)]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_draws_and_names_its_source(name):
    preset = latencies.entry(name)
    assert preset.source and preset.plug.label
    assert all(draw(preset.plug, n) >= 0 for n in range(20))
    assert parse_latency(name) == preset.plug


def test_lognormal_matches_mean_and_deviation_in_seconds():
    model = LogNormal(0.139, 0.0067)
    draws = np.array([draw(model, n) for n in range(4000)])
    assert draws.mean() == pytest.approx(0.139, rel=0.005)
    assert draws.std() == pytest.approx(0.0067, rel=0.05)


def test_a_wide_lognormal_keeps_its_mean_and_deviation():
    # A shift of the logarithm by half its variance would make this mean sqrt(2) times too large.
    model = LogNormal(0.1, 0.1)
    draws = np.array([draw(model, n) for n in range(6000)])
    assert draws.mean() == pytest.approx(0.1, rel=0.04)
    assert draws.std() == pytest.approx(0.1, rel=0.15)
    assert np.median(draws) == pytest.approx(0.1 / 2**0.5, rel=0.04)


@pytest.mark.parametrize("strategy", [Sync(5), NaiveAsync(5)])
def test_the_executor_draws_anew_for_every_inference(strategy):
    model = LogNormal(0.1, 0.05)
    executor, plant = Executor(Wave(), strategy, model), DoubleIntegrator()
    plant.reset(0)
    executor.reset(7, np.zeros(ENV_ACTION_DIM))
    drawn = []
    for _ in range(80):
        record = executor.tick(plant.observe)
        plant.step(record.action)
        if record.started >= 0:
            drawn.append(record.latency_s)
    assert len(set(drawn)) == len(drawn) > 5
    assert drawn == [draw(model, number, seed=7) for number in range(len(drawn))]


def test_draws_are_keyed_by_inference_not_by_history():
    model = LogNormal(0.1, 0.03)
    assert draw(model, 7) != draw(model, 8) != draw(model, 8, seed=1)


def test_the_streams_of_an_episode_are_apart():
    drawn = {stream: stream_rng(3, stream, 0).standard_normal() for stream in Stream}
    assert len(set(drawn.values())) == len(Stream)
    # The numbers of a stream are part of the result format.
    assert (
        drawn[Stream.LATENCY]
        == np.random.default_rng(np.random.SeedSequence(3, spawn_key=(1, 0))).standard_normal()
    )


def test_a_warmup_is_the_first_inference():
    spike = WarmupSpike(0.7, Constant(0.08))
    assert [draw(spike, n) for n in range(3)] == [0.7, 0.08, 0.08]


def test_a_change_counts_from_the_capture_at_its_moment_on():
    change = parse_latency("change:before_s=0.1,after_s=0.3,at_s=2")
    assert [draw(change, 0, t) for t in (0, 1_999_999_999, 2_000_000_000)] == [0.1, 0.1, 0.3]
    assert change.label == "100 ms, from 2 s on 300 ms"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("133ms", Constant(0.133)),
        ("0.2s", Constant(0.2)),
        ("109 +- 2.5 ms", LogNormal(0.109, 0.0025)),
        ("109±2.5ms", LogNormal(0.109, 0.0025)),
    ],
)
def test_amounts_are_parsed(text, model):
    parsed = parse_latency(text)
    assert type(parsed) is type(model)
    assert draw(parsed) == pytest.approx(draw(model))


@pytest.mark.parametrize(
    ("text", "parts", "whole"),
    [
        ("60+20ms", Parts(0.06, 0.02), "80ms"),
        ("0.15 + 0.05 s", Parts(0.15, 0.05), "200ms"),
        ("225+75ms", Parts(0.225, 0.075), "300ms"),
        ("60+20+5ms", Parts(0.06, 0.02, 0.005), "85ms"),
    ],
)
def test_amounts_in_parts_are_parsed(text, parts, whole):
    parsed = parse_latency(text)
    assert isinstance(parsed, Parts)
    assert parsed.label == parts.label
    # As long as one amount of their sum, to the nanosecond: no tick is gained or lost.
    assert seconds_to_ns(draw(parsed)) == seconds_to_ns(draw(parse_latency(whole)))


@pytest.mark.parametrize("text", ["60+ms", "60+20", "60+20+5+5ms", "-60+20ms"])
def test_amounts_in_parts_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match=r"60\+20ms"):
        parse_latency(text)


def test_unknown_latency_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean 'xr0_4090'\?.*133ms"):
        parse_latency("xr0_409")
    with pytest.raises(ConfigError, match="expected an amount"):
        parse_latency("80")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Constant(-1),
        lambda: Constant(float("nan")),
        lambda: LogNormal(0, 1),
        lambda: Change(before_s=-0.1),
        lambda: Change(after_s=float("inf")),
        lambda: Change(at_s=-1),
    ],
)
def test_bad_models_are_refused(build):
    with pytest.raises(ConfigError, match="expected"):
        build()
