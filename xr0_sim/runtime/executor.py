"""Runs a chunk model at the control rate although its inferences take time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.clock import VirtualClock, delay_ticks, seconds_to_ns
from xr0_sim.runtime.correction import CorrectionRequest, check_time, corrected_action
from xr0_sim.runtime.inference import Capture, Inference
from xr0_sim.runtime.latency.base import LatencyContext, LatencyModel, LosesChunks
from xr0_sim.runtime.latency.estimator import DelayEstimator, TrueDelay
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.random_streams import Stream, check_seed, stream_rng
from xr0_sim.runtime.strategies.base import Arrival, Placement, Situation, Strategy
from xr0_sim.runtime.tick_record import HANDOVER_ROWS, NONE, Handover, TickRecord, continued
from xr0_sim.runtime.timeline import PlacedChunk, Slot, Timeline
from xr0_sim.types import (
    ActionChunk,
    ChunkModel,
    ChunkRequest,
    InferenceMoment,
    Observation,
    capabilities_of,
    flops_of,
    infer_chunks,
)

_log = logging.getLogger(__name__)

_NO_LATENCY = Constant(0.0)
_TRUE_DELAY = TrueDelay()
_overruns_told: set[str] = set()
"""Strategies whose first overrun has been told; once a process is enough."""


class Executor:
    """Turns chunks into one action per tick; deterministic, never sleeps.

    A tick goes: deliver the inferences that have finished, let the strategy start one, pick the
    action or hold the last command. At latency 0 an inference is delivered in its capture tick.
    All times are virtual; the model is called at the capture and its result kept back until the
    drawn latency has passed.

    `tick` does all of it. Whoever runs many environments side by side calls its three parts
    instead, `request`, `submit` and `select`, and answers what all of them asked in one pass.

    Args:
        model: Chunk model.
        strategy: Execution strategy.
        latency: True latency; drawn from the episode's own stream, inference by inference.
        estimator: What the controller believes about the delay.
        control_hz: Control rate [Hz].
        standstill: What is commanded in a tick without an action, from the command before; None
            repeats it, which stands still where actions are absolute targets.

    Raises:
        ConfigError: The strategy cannot run this model.
    """

    def __init__(
        self,
        model: ChunkModel,
        strategy: Strategy,
        latency: LatencyModel = _NO_LATENCY,
        estimator: DelayEstimator = _TRUE_DELAY,
        control_hz: int = CONTROL_HZ,
        standstill: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> None:
        strategy.check(model.horizon, capabilities_of(model))
        check_time(strategy.correction_s, control_hz)
        self.model = model
        self.strategy = strategy
        self.latency = latency
        self.estimator = estimator
        self.control_hz = control_hz
        self._standstill = standstill
        self._seed: int | None = None

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
        self._in_flight: list[tuple[Inference, tuple[ActionChunk, ...]]] = []
        self._asked = False
        self._request: ChunkRequest | None = None
        self._started: Inference | None = None
        self._delivered, self._overrun, self._dropped = NONE, False, 0
        self._count = 0
        self._newest_capture = first_tick - 1
        self._placed = NONE
        self._delays: list[int] = []
        self._previous_s: float | None = None
        self._last_slot: Slot | None = None
        self._last_seen: Observation | None = None
        self._capture: Capture | None = None
        self._captured: dict[int, Observation] = {}
        self._finished: int | None = None
        self._full_tick: int | None = None
        self._memories: dict[int, object] = {}
        self._held = True
        self.model.reset(self._seed)

    def branch(self) -> Executor:
        """An executor that goes on from here by itself; model, strategy and latency are shared."""
        branch = copy(self)
        branch._clock = VirtualClock(self._clock.now_ns)
        branch._timeline = self._timeline.branch()
        branch._in_flight, branch._delays = list(self._in_flight), list(self._delays)
        branch._memories = dict(self._memories)
        branch._captured = dict(self._captured)
        return branch

    def committed(self, steps: int) -> NDArray[np.float64]:
        """The next ``steps`` actions if nothing new arrives, (m, 14), m <= steps."""
        return self._timeline.committed(self._tick, steps)

    def inferences(self) -> tuple[InferenceMoment, ...]:
        """Inferences under way, oldest first."""
        return tuple(inference.moment for inference, _ in self._in_flight)

    def tick(
        self, observe: Callable[[], Observation], command: ArrayLike | None = None
    ) -> TickRecord:
        """Decides the action of the next tick.

        Args:
            observe: Captures the observation of this tick; called only if an inference starts, or
                if the strategy looks or corrects.
            command: (14,) the robot's last command if someone else changed it since the last
                tick; a hold repeats it.
        """
        request = self.request(observe, command)
        if request is not None:
            self.submit(infer_chunks(self.model, request))
        return self.select()

    def request(
        self, observe: Callable[[], Observation], command: ArrayLike | None = None
    ) -> ChunkRequest | None:
        """First part of a tick: delivers what has finished and lets the strategy start.

        Args:
            observe: See `tick`.
            command: See `tick`.

        Returns:
            What the model has to answer by `submit` before `select`, or None.
        """
        if self._seed is None:
            raise ConfigError("executor: expected reset() before tick()")
        if self._asked:
            raise ConfigError(
                "executor: expected select() before the next request(); after an inference that "
                "failed, reset() first"
            )
        if command is not None:
            self._command = _read_only(command)
        tick = self._tick
        time_ns = tick_ns(tick, self.control_hz)
        self._clock.advance_to(time_ns)
        self._started = None
        self._dropped = 0
        self._delivered, self._overrun = self._deliver(tick)
        self._capture = capture = Capture(observe, tick)
        if len(self._in_flight) < self.strategy.max_in_flight:
            situation = Situation(
                tick,
                self._timeline,
                self.inferences(),
                capture,
                self._last_seen,
                self._finished,
                self._full_tick,
            )
            if self.strategy.due(situation):
                self._started, self._request = self._start(situation, time_ns)
        self._asked = True
        return self._request

    def submit(self, answer: ActionChunk | Sequence[ActionChunk]) -> None:
        """Second part of a tick: takes the chunk that was asked for, or the samples."""
        request, started = self._request, self._started
        if request is None or started is None:
            raise ConfigError("executor: expected an answer only to what request() returned")
        chunks = (answer,) if isinstance(answer, ActionChunk) else tuple(answer)
        for chunk in chunks:
            self._check_chunk(chunk, started.capture_tick, request.prefix)
        self._in_flight.append((started, chunks))
        self._request = None
        if started.due_tick <= self._tick:
            self._delivered, self._overrun = self._deliver(self._tick)

    def select(self) -> TickRecord:
        """Last part of a tick: picks the action, or holds."""
        if not self._asked or self._request is not None:
            raise ConfigError("executor: expected request(), and its answer, before select()")
        self._asked = False
        tick, started = self._tick, self._started
        slot = self._timeline.at(tick)
        handover = self._handover(slot)
        correction_s = correction_flops = float("nan")
        if slot is not None:
            self._command = self._select(tick)
            if self.strategy.corrects:
                correction_s = self.strategy.correction_s
                correction_flops = self._correct(slot, tick)
            self._last_slot = slot
        elif self._standstill is not None:
            self._command = _read_only(self._standstill(self._command))
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
            inferring=bool(self._in_flight),
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
            refresh=started is not None and started.refresh,
            flops=float("nan") if started is None else started.flops,
            lost=started is not None and started.lost,
            correction_s=correction_s,
            correction_flops=correction_flops,
            dropped=self._dropped,
        )

    def _correct(self, slot: Slot, tick: int) -> float:
        """Corrects the action of the tick; what that took, see `corrected_action`."""
        assert self._capture is not None
        chunk = slot.chunk
        self._captured = {n: seen for n, seen in self._captured.items() if n >= chunk.chunk_id}
        request = CorrectionRequest(
            self._capture(),
            self._captured[chunk.chunk_id],
            self._command,
            chunk.actions,
            slot.index,
            tick - chunk.capture_tick,
        )
        action, flops = corrected_action(self.model, request)
        self._command = _read_only(self.strategy.correct(request.planned, action))
        return flops

    def _select(self, tick: int) -> NDArray[np.float64]:
        """The strategy's action, checked where it is not simply a row."""
        action = self.strategy.select(self._timeline.covering(tick))
        if action.base is None or action.flags.writeable:
            action = _read_only(action)
        if action.shape != (ENV_ACTION_DIM,) or not np.isfinite(action).all():
            raise ConfigError(
                f"{type(self.strategy).__name__}.select: expected a finite action "
                f"({ENV_ACTION_DIM},), got {action!r}"
            )
        return action

    def _start(self, situation: Situation, time_ns: int) -> tuple[Inference, ChunkRequest]:
        """Captures and draws the latency; the chunk itself is yet to come."""
        assert self._seed is not None
        tick = situation.tick
        refresh = self.strategy.refresh(situation)
        if refresh is not None and refresh not in self._memories:
            raise ConfigError(
                f"{type(self.strategy).__name__}.refresh: expected the number of a finished "
                f"inference that kept its VLM cache, {sorted(self._memories)}, got {refresh}"
            )
        number = self._count
        self._count += 1
        key = (self._seed, Stream.LATENCY, number)
        context = LatencyContext(number, time_ns, refresh is not None, self._previous_s)
        latency_s = self._previous_s = self.latency.sample(stream_rng(*key), context)
        lossy = self.latency
        lost = isinstance(lossy, LosesChunks) and lossy.lost(stream_rng(*key), context)
        d_floor, d_ceil = delay_ticks(seconds_to_ns(latency_s), self.control_hz)
        estimated = self.estimator.estimate(self._delays, d_ceil)
        standstill = self._timeline.at(tick) is None
        seen = situation.observe()
        request = self.strategy.request(self._timeline, tick, estimated, seen)
        if request.observation.tick != tick:
            raise ConfigError(
                f"{type(self.strategy).__name__}.request: expected an observation of tick {tick}, "
                f"got tick {request.observation.tick}"
            )
        inference = Inference(
            number=number,
            capture_tick=tick,
            due_tick=tick + d_ceil,
            latency_s=latency_s,
            d_floor=d_floor,
            d_ceil=d_ceil,
            estimated_ticks=estimated,
            prefix_steps=len(request.prefix),
            standstill=standstill,
            refresh=refresh is not None,
            lost=lost,
            after=self._placed,
        )
        self._last_seen = seen
        if self.strategy.corrects:
            self._captured[number] = seen
        if refresh is None:
            self._full_tick = tick
        request = replace(request, noise_seed=(self._seed, number))
        if refresh is not None:
            request = replace(request, refresh=refresh, memory=self._memories[refresh])
        return replace(inference, flops=flops_of(self.model, request)), request

    def _deliver(self, tick: int) -> tuple[int, bool]:
        """Places every chunk that has arrived; number of the last one and whether it overran."""
        arrived = [entry for entry in self._in_flight if entry[0].due_tick <= tick]
        if not arrived:
            return NONE, False
        self._in_flight = [entry for entry in self._in_flight if entry[0].due_tick > tick]
        delivered, overrun, before = NONE, False, self._placed
        for inference, chunks in arrived:
            if not inference.lost:
                placement = self._place(inference, chunks, tick, inference.after != before)
                self._dropped += placement is None
                delivered, overrun = inference.number, placement is not None and placement.overrun
        return delivered, overrun

    def _place(
        self, done: Inference, chunks: tuple[ActionChunk, ...], tick: int, superseded: bool
    ) -> Placement | None:
        """Merges the chosen chunk into the timeline, unless the strategy drops it."""
        self._delays.append(done.d_ceil)
        newest = done.capture_tick > self._newest_capture
        self._newest_capture = max(self._newest_capture, done.capture_tick)
        if not done.refresh:
            self._finished = max(done.number, -1 if self._finished is None else self._finished)
            # The newest two: one may be in use while the other arrives.
            kept = dict(list(self._memories.items())[-1:])
            self._memories = {**kept, done.number: chunks[0].memory}
        placement = self.strategy.place(
            Arrival(
                tick,
                done.capture_tick,
                done.prefix_steps,
                done.standstill,
                done.number,
                newest,
                done.estimated_ticks,
                superseded=superseded,
            )
        )
        if placement is None:
            return None
        self._placed = done.number
        chunk = chunks[0] if len(chunks) == 1 else self.strategy.choose(self._timeline, chunks)
        self._timeline.forget(tick)
        self._timeline.merge(
            PlacedChunk.place(
                done.number,
                _read_only(chunk.actions),
                capture_tick=done.capture_tick,
                start_tick=placement.start_tick,
                takeover_tick=max(tick, placement.start_tick),
            )
        )
        if placement.overrun and self.strategy.label not in _overruns_told:
            _overruns_told.add(self.strategy.label)
            _log.warning(
                "inference %d took %d ticks but its prefix covers %d: the hand-over may jump "
                "(said once for %s; see the overrun column)",
                done.number,
                done.d_ceil,
                done.prefix_steps,
                self.strategy.label,
            )
        return placement

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
