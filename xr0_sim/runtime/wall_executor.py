"""An executor whose answers come when they come: nobody knows a latency before it is over."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.clock import delay_ticks, seconds_to_ns
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.inference import Inference
from xr0_sim.runtime.latency.estimator import TrueDelay
from xr0_sim.runtime.strategies.base import Situation
from xr0_sim.runtime.tick_record import NONE
from xr0_sim.types import ActionChunk, ChunkRequest

NEVER = sys.maxsize
INSIDE = 0.5
"""Where in a tick an answer is told to have come whose measured time lies outside of the tick that
took it; chosen."""


class WallExecutor(Executor):
    """Asks, goes on, and takes answers at the start of whichever tick finds them.

    A tick goes: `arrive` for every answer that has come, `request`, `post` if something was asked,
    `select`. Strategies and estimators are those of virtual time; `measured` holds the latencies,
    with which a virtual run repeats the episode.

    Attributes:
        measured: Inference number -> latency [s], of those that have arrived.
    """

    measured: dict[int, float]
    _prefixes: dict[int, NDArray[np.float64]]

    def reset(self, episode_seed: int, command: object, first_tick: int = 0) -> None:
        """See `Executor.reset`."""
        if isinstance(self.estimator, TrueDelay):
            raise ConfigError(
                "real time: expected an estimator that does not know the true delay; choose last, "
                "fixed, window_max or p95"
            )
        super().reset(episode_seed, command, first_tick)  # type: ignore[arg-type]
        self.measured, self._prefixes = {}, {}

    def post(self) -> tuple[int, ChunkRequest] | None:
        """What `request` asked for, with its number; the tick goes on without the answer."""
        request, started = self._request, self._started
        if request is None or started is None:
            return None
        self._in_flight.append((started, ()))
        self._prefixes[started.number] = request.prefix
        self._request = None
        return started.number, request

    def arrive(self, number: int, chunk: ActionChunk, latency_s: float) -> None:
        """Takes an answer before the coming tick, which delivers it.

        Args:
            number: Its inference.
            chunk: The answer.
            latency_s: Time from the start of its capture tick to the answer [s].

        Raises:
            ConfigError: Nobody asked, or the chunk is not what was asked for.
        """
        open_ = {asked.number: i for i, (asked, chunks) in enumerate(self._in_flight) if not chunks}
        if number not in open_:
            raise ConfigError(
                f"real time: expected an answer to one of {sorted(open_)}, got one to {number}"
            )
        place = open_[number]
        asked = self._in_flight[place][0]
        self._check_chunk(chunk, asked.capture_tick, self._prefixes.pop(number))
        latency_s = self._within_tick(latency_s, self._tick - asked.capture_tick)
        d_floor, d_ceil = delay_ticks(seconds_to_ns(latency_s), self.control_hz)
        done = replace(
            asked, due_tick=self._tick, latency_s=latency_s, d_floor=d_floor, d_ceil=d_ceil
        )
        self._in_flight[place] = (done, (chunk,))
        self.measured[number] = latency_s

    def _within_tick(self, latency_s: float, ticks: int) -> float:
        """The measured latency, moved into the tick whose end found the answer."""
        if ticks - 1 < latency_s * self.control_hz <= ticks:
            return latency_s
        return (ticks - INSIDE) / self.control_hz

    def _start(self, situation: Situation, time_ns: int) -> tuple[Inference, ChunkRequest]:
        inference, request = super()._start(situation, time_ns)
        unknown = {"due_tick": NEVER, "latency_s": math.nan, "d_floor": NONE, "d_ceil": NONE}
        return replace(inference, **unknown), request  # type: ignore[arg-type]
