"""``xr0-sim bench executor``: what a tick costs under every strategy, the model excluded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure, report
from experiments.benchmarks.step_replay import quiet_collector
from xr0_sim.conventions import ENV_ACTION_DIM, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.registry import strategies
from xr0_sim.runtime import Executor, parse_latency
from xr0_sim.runtime.correction import CorrectionRequest
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.types import CAPABILITIES, ActionChunk, ChunkRequest, Observation

TARGET_US = 100.0
GROWTH = 1.3
"""Most that a tick may cost at four times the length, or with 64 events instead of one; chosen:
noise of the clock included."""
HORIZON = 30
WARM_UP_TICKS = 30
LONG = 4
MANY_EVENTS = 64
FAR_TICK = 10**6
PICTURES = ("base", "left_wrist", "right_wrist")


@dataclass(frozen=True)
class BenchExecutorConfig:
    """Times the executor for every strategy of the registry, the chunk model excluded; CPU time.

    Attributes:
        latency: Latency of the inferences; with a spread, so that arrivals do not keep step.
        ticks: Ticks of an episode; one of four times as many is measured beside it.
        repeats: Episodes of either length, by turns; the least counts.
        image_size: Side of the three pictures that strategies which look are given [px].
        json: Print one JSON object.
    """

    latency: str = "rtc_nuc"
    ticks: int = 600
    repeats: int = 5
    image_size: int = 128
    json: bool = False


def run(config: BenchExecutorConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    if config.ticks < WARM_UP_TICKS or config.repeats < 1 or config.image_size < 1:
        raise ConfigError(
            f"--ticks, --repeats, --image-size: expected at least {WARM_UP_TICKS}, 1 and 1, got "
            f"{config.ticks}, {config.repeats}, {config.image_size}"
        )
    measures = []
    for name in strategies.names():
        measures += _of_strategy(name, strategies.parse(name), config)
    measures.append(_of_events(config))
    title = "executor, chunk model excluded, CPU time per tick"
    report(title, measures, as_json=config.json, config=config)
    return 0


def _of_strategy(name: str, strategy: Strategy, config: BenchExecutorConfig) -> list[Measure]:
    short, long = [], []
    episode = _Episode(strategy, config)
    for _ in range(config.repeats):
        short.append(episode.tick_us(config.ticks))
        long.append(episode.tick_us(LONG * config.ticks))
    return [
        Measure(
            f"{name}_us",
            name,
            min(short),
            "µs",
            low=min(short),
            high=max(short),
            n=config.repeats,
            target=TARGET_US,
        ),
        Measure(
            f"{name}_growth",
            f"{name}, {LONG} times as many ticks",
            min(long) / min(short),
            target=GROWTH,
            n=config.repeats,
        ),
    ]


class _Episode:
    """One strategy on pictures that stay as they are, behind a model that costs nothing."""

    def __init__(self, strategy: Strategy, config: BenchExecutorConfig) -> None:
        self._model = _FreeModel()
        self._executor = Executor(self._model, strategy, parse_latency(config.latency))
        shape = (config.image_size, config.image_size, 3)
        self._pictures = {view: np.full(shape, 128, np.uint8) for view in PICTURES}

    def tick_us(self, ticks: int) -> float:
        """Mean cost of a tick [µs]."""
        executor, model = self._executor, self._model
        executor.reset(0, np.zeros(ENV_ACTION_DIM))
        # Made before the clock runs: what a plant's observation costs is not the executor's.
        looks = [self._look(tick) for tick in range(WARM_UP_TICKS + ticks)]
        with quiet_collector():
            for look in looks[:WARM_UP_TICKS]:
                executor.tick(look)
            model.spent_ns = 0
            start = time.thread_time_ns()
            for look in looks[WARM_UP_TICKS:]:
                executor.tick(look)
            spent = time.thread_time_ns() - start - model.spent_ns
        return spent / ticks / 1e3

    def _look(self, tick: int) -> Callable[[], Observation]:
        robot: Any = None
        seen = Observation(tick, tick_ns(tick), robot, self._pictures, "")
        return lambda: seen


class _FreeModel:
    """A chunk model that can do everything and costs next to nothing, its share taken off."""

    capabilities = frozenset(CAPABILITIES)
    horizon = HORIZON
    spent_ns = 0

    def reset(self, episode_seed: int) -> None:
        """Draws one chunk, used again and again."""
        self._rows = np.random.default_rng(episode_seed).normal(size=(HORIZON, ENV_ACTION_DIM))

    def infer(self, observation: Observation, prefix: NDArray, noise_seed: Any) -> ActionChunk:
        """The chunk with the prefix pasted over it."""
        return self.infer_request(ChunkRequest(observation, prefix=prefix))[0]

    def infer_request(self, request: ChunkRequest) -> list[ActionChunk]:
        """As many samples as are asked for."""
        start = time.thread_time_ns()
        tick = request.observation.tick
        rows = self._rows.copy()
        rows[: len(request.prefix)] = request.prefix
        chunks = [ActionChunk(rows, tick, memory=tick)] * request.samples
        self.spent_ns += time.thread_time_ns() - start
        return chunks

    def correct(self, request: CorrectionRequest) -> NDArray:
        """The action as it was planned."""
        return request.planned

    def correction_flops(self, request: CorrectionRequest) -> float:
        """Nothing is worked out."""
        return 0.0


def _of_events(config: BenchExecutorConfig) -> Measure:
    """Cost of asking the schedule in a tick with many events that wait, against one."""
    one, many = [], []
    for _ in range(config.repeats):
        one.append(_schedule_us(1, config.ticks))
        many.append(_schedule_us(MANY_EVENTS, config.ticks))
    return Measure(
        "events_growth_us",
        f"what {MANY_EVENTS - 1} more events that wait add to a tick",
        max(0.0, min(many) - min(one)),
        "µs",
        n=config.repeats,
        target=TARGET_US,
    )


def _schedule_us(events: int, ticks: int) -> float:
    waiting = [f"freeze_base@tick:{FAR_TICK + k}" for k in range(events)]
    schedule = EventSchedule(parse_events(waiting), 0)
    scene: Any = None
    with quiet_collector():
        start = time.thread_time_ns()
        for tick in range(ticks):
            schedule.fire(scene, tick, tick_ns(tick), "reach")
        return (time.thread_time_ns() - start) / ticks / 1e3
