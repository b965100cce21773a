"""Chunk models that only look at the clock; not a test itself."""

from __future__ import annotations

import numpy as np

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.estimator import TrueDelay
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.types import CAPABILITIES, ActionChunk, ChunkRequest, Observation

HORIZON = 30


class Clock:
    """Row i of a chunk is the tick it is meant for, plus a mark of its inference."""

    capabilities = frozenset(CAPABILITIES)
    horizon = HORIZON
    mark = 0.0

    def reset(self, episode_seed):
        self.requests = []

    def infer(self, observation, prefix, noise_seed):
        raise AssertionError

    def infer_request(self, request):
        self.requests.append(request)
        first = request.observation.tick + len(request.assumed)
        rows = np.arange(first, first + HORIZON) + self.mark * request.noise_seed[1]
        actions = np.repeat(rows[:, None], ENV_ACTION_DIM, axis=1).astype(float)
        actions[: len(request.prefix)] = request.prefix
        number = request.noise_seed[1]
        chunks = [
            ActionChunk(actions + 0.01 * k, request.observation.tick, memory=("seen", number))
            for k in range(request.samples)
        ]
        return chunks

    def infer_plain(self, observation, prefix, noise_seed):
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]


class Marked(Clock):
    """As `Clock`; inference n adds 100 n."""

    mark = 100.0


def play(strategy, ticks, delay=0, model=None, estimator=None, latency=None):
    """Tick records of a robot that only looks at the clock, and the model."""
    model = model or Clock()
    model.infer = model.infer_plain
    executor = Executor(
        model,
        strategy,
        latency or Constant(delay / CONTROL_HZ),
        estimator or TrueDelay(),
    )
    executor.reset(0, np.full(ENV_ACTION_DIM, -1.0))
    records = []
    for tick in range(ticks):
        seen = Observation(tick, tick_ns(tick), None, {}, "go", None)
        records.append(executor.tick(lambda seen=seen: seen))
    return records, model
