"""Runs a chunk model at the control rate although its inferences take time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.clock import VirtualClock, delay_ticks, seconds_to_ns
from xr0_sim.runtime.latency.base import LatencyContext, LatencyModel
from xr0_sim.runtime.latency.estimator import DelayEstimator, TrueDelay
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.random_streams import Stream, check_seed, stream_rng
from xr0_sim.runtime.strategies.base import Arrival, Strategy
from xr0_sim.runtime.tick_record import HANDOVER_ROWS, NONE, Handover, TickRecord, continued
from xr0_sim.runtime.timeline import PlacedChunk, Slot, Timeline
from xr0_sim.types import ActionChunk, ChunkModel, ChunkRequest, Observation

_log = logging.getLogger(__name__)

_NO_LATENCY = Constant(0.0)
_TRUE_DELAY = TrueDelay()


@dataclass(frozen=True, slots=True)
class Inference:
    """An inference: computed at its capture, delivered when its latency has passed."""

    number: int
    capture_tick: int
    due_tick: int
    latency_s: float
    d_floor: int
    d_ceil: int
    estimated_ticks: int
    prefix_steps: int
    standstill: bool


class Executor:
    """Turns chunks into one action per tick; deterministic, never sleeps.

    A tick goes: deliver the inference that has finished, let the strategy start one, pick the
    action or hold the last command. At latency 0 an inference is delivered in its capture tick.
    At most one inference is under way. All times are virtual; the model is called at the capture
    and its result kept back until the drawn latency has passed.

    `tick` does all of it. Whoever runs many environments side by side calls its three parts
    instead, `ask`, `answer` and `act`, and answers what all of them asked in one pass.

    Args:
        model: Chunk model.
        strategy: Execution strategy.
        latency: True latency; drawn from the episode's own stream, inference by inference.
        estimator: What the controller believes about the delay.
        control_hz: Control rate [Hz].
    """

    def __init__(
        self,
        model: ChunkModel,
        strategy: Strategy,
        latency: LatencyModel = _NO_LATENCY,
        estimator: DelayEstimator = _TRUE_DELAY,
        control_hz: int = CONTROL_HZ,
    ) -> None:
        strategy.check(model.horizon)
        self.model = model
        self.strategy = strategy
        self.latency = latency
        self.estimator = estimator
        self.control_hz = control_hz
        self._seed: int | None = None
        self._warned = False

    def reset(self, episode_seed: int, command: ArrayLike, first_tick: int = 0) -> None:
        """Starts an episode.

        Args:
            episode_seed: Seed of the episode's latencies and of the model's sampling noise.
            command: (14,) the robot's last command, held until the first chunk arrives.
            first_tick: Number of the first tick.
        """
        self._seed = check_seed(episode_seed)
        self._command = _read_only(command)
        if self._command.shape != (ENV_ACTION_DIM,):
            raise ConfigError(
                f"executor command: expected shape ({ENV_ACTION_DIM},), got {self._command.shape}"
            )
        self._tick = first_tick
        self._clock = VirtualClock(tick_ns(first_tick, self.control_hz))
        self._timeline = Timeline()
        self._inference: Inference | None = None
        self._asked = False
        self._request: ChunkRequest | None = None
        self._started: Inference | None = None
        self._delivered, self._overrun = NONE, False
        self._count = 0
        self._delays: list[int] = []
        self._last_slot: Slot | None = None
        self._held = True
        self.model.reset(self._seed)

    def committed(self, steps: int) -> NDArray[np.float64]:
        """The next ``steps`` actions if nothing new arrives, (m, 14), m <= steps."""
        return self._timeline.committed(self._tick, steps)

    def tick(
        self, observe: Callable[[], Observation], command: ArrayLike | None = None
    ) -> TickRecord:
        """Decides the action of the next tick.

        Args:
            observe: Captures the observation of this tick; called only if an inference starts.
            command: (14,) the robot's last command if someone else changed it since the last
                tick; a hold repeats it.
        """
        request = self.ask(observe, command)
        if request is not None:
            self.answer(self.model.infer(request.observation, request.prefix, request.noise_seed))
        return self.act()

    def ask(
        self, observe: Callable[[], Observation], command: ArrayLike | None = None
    ) -> ChunkRequest | None:
        """First part of a tick: delivers what has finished and lets the strategy start.

        Args:
            observe: See `tick`.
            command: See `tick`.

        Returns:
            What the model has to `answer` before `act`, or None.
        """
        if self._seed is None:
            raise ConfigError("executor: expected reset() before tick()")
        if self._asked:
            raise ConfigError(
                "executor: expected act() before the next ask(); after an inference that failed, "
                "reset() first"
            )
        if command is not None:
            self._command = _read_only(command)
        tick = self._tick
        time_ns = tick_ns(tick, self.control_hz)
        self._clock.advance_to(time_ns)
        self._started = None
        self._delivered, self._overrun = self._deliver(tick)
        if self._inference is None and self.strategy.due(self._timeline, tick):
            self._started, self._request = self._start(observe, tick, time_ns)
        self._asked = True
        return self._request

    def answer(self, chunk: ActionChunk) -> None:
        """Second part of a tick: takes the chunk that was asked for."""
        request, started = self._request, self._started
        if request is None or started is None:
            raise ConfigError("executor: expected an answer only to what ask() returned")
        self._check_chunk(chunk, started.capture_tick, request.prefix)
        self._inference, self._chunk = started, _read_only(chunk.actions)
        self._request = None
        if started.due_tick <= self._tick:
            self._delivered, self._overrun = self._deliver(self._tick)

    def act(self) -> TickRecord:
        """Last part of a tick: picks the action, or holds."""
        if not self._asked or self._request is not None:
            raise ConfigError("executor: expected ask(), and an answer to it, before act()")
        self._asked = False
        tick, started = self._tick, self._started
        slot = self._timeline.at(tick)
        handover = self._handover(slot)
        if slot is not None:
            self._command = slot.chunk.actions[slot.index]
            self._last_slot = slot
        self._held = slot is None
        self._tick = tick + 1
        return TickRecord(
            tick=tick,
            time_ns=tick_ns(tick, self.control_hz),
            action=self._command,
            chunk_id=NONE if slot is None else slot.chunk.chunk_id,
            index=NONE if slot is None else slot.index,
            age_ticks=NONE if slot is None else tick - slot.chunk.capture_tick,
            hold=slot is None,
            queue=self._timeline.remaining(tick + 1),
            inferring=self._inference is not None,
            started=NONE if started is None else started.number,
            latency_s=float("nan") if started is None else started.latency_s,
            d_floor=NONE if started is None else started.d_floor,
            d_ceil=NONE if started is None else started.d_ceil,
            estimated_ticks=NONE if started is None else started.estimated_ticks,
            prefix_steps=NONE if started is None else started.prefix_steps,
            delivered=self._delivered,
            overrun=self._overrun,
            seam=handover is not None,
            handover=handover,
        )

    def _start(
        self, observe: Callable[[], Observation], tick: int, time_ns: int
    ) -> tuple[Inference, ChunkRequest]:
        """Captures and draws the latency; the chunk itself is yet to come."""
        number = self._count
        self._count += 1
        rng = stream_rng(self._seed, Stream.LATENCY, number)
        latency_s = self.latency.sample(rng, LatencyContext(number, time_ns))
        d_floor, d_ceil = delay_ticks(seconds_to_ns(latency_s), self.control_hz)
        estimated = self.estimator.estimate(self._delays, d_ceil)
        standstill = self._timeline.at(tick) is None
        prefix = self.strategy.begin(self._timeline, tick, estimated)
        observation = observe()
        if observation.tick != tick:
            raise ConfigError(
                f"observation: expected a capture in tick {tick}, got tick {observation.tick}"
            )
        inference = Inference(
            number=number,
            capture_tick=tick,
            due_tick=tick + d_ceil,
            latency_s=latency_s,
            d_floor=d_floor,
            d_ceil=d_ceil,
            estimated_ticks=estimated,
            prefix_steps=len(prefix),
            standstill=standstill,
        )
        return inference, ChunkRequest(observation, prefix, (self._seed, number))

    def _deliver(self, tick: int) -> tuple[int, bool]:
        """Merges the inference that has finished, if any; its number and whether it overran."""
        done = self._inference
        if done is None or done.due_tick > tick:
            return NONE, False
        self._inference = None
        self._delays.append(done.d_ceil)
        arrival = Arrival(tick, done.capture_tick, done.prefix_steps, done.standstill)
        placement = self.strategy.place(arrival)
        self._timeline.forget(tick)
        self._timeline.merge(
            PlacedChunk.place(
                done.number,
                self._chunk,
                capture_tick=done.capture_tick,
                start_tick=placement.start_tick,
                takeover_tick=tick,
            )
        )
        if placement.overrun and not self._warned:
            self._warned = True
            _log.warning(
                "inference %d took %d ticks but its prefix covers %d: the hand-over may jump "
                "(said once; see the overrun column)",
                done.number,
                done.d_ceil,
                done.prefix_steps,
            )
        return done.number, placement.overrun

    def _handover(self, slot: Slot | None) -> Handover | None:
        """Both plans, if ``slot`` is the first of a chunk other than the one executed before."""
        last = self._last_slot
        if slot is None or last is None or slot.chunk.chunk_id == last.chunk.chunk_id:
            return None
        if self._held:
            outgoing = np.tile(self._command, (HANDOVER_ROWS, 1))
        else:
            outgoing = continued(last.chunk, last.index + 1)
        return Handover(outgoing, continued(slot.chunk, slot.index))

    def _check_chunk(self, chunk: ActionChunk, tick: int, prefix: NDArray[np.float64]) -> None:
        """Holds the model to its contract; a chunk off by a tick would look like a seam."""
        rows = len(chunk.actions)
        if chunk.first_tick != tick or rows != self.model.horizon:
            raise ConfigError(
                f"chunk model: expected {self.model.horizon} rows from tick {tick}, got {rows} "
                f"from tick {chunk.first_tick}"
            )
        if not np.array_equal(chunk.actions[: len(prefix)], prefix):
            raise ConfigError(
                f"chunk model: expected the first {len(prefix)} rows to repeat the prefix "
                "exactly; paste the prefix over the prediction before returning it"
            )


def _read_only(array: ArrayLike) -> NDArray[np.float64]:
    copy = np.array(array, dtype=np.float64)
    copy.flags.writeable = False
    return copy
