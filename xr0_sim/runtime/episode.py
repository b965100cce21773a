"""One episode: a plant, an executor, and whoever wants to watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import NS_PER_S, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.tick_record import TickRecord
from xr0_sim.types import InferenceWatcher, Observation, RobotState

if TYPE_CHECKING:
    from xr0_sim.types import EventRecord

Outcome = Literal["success", "failure", "interrupted", "error"]


class Plant(Protocol):
    """What a task offers to the runtime; a Gymnasium environment wraps the same object.

    ``info`` of a step carries ``success`` (bool), ``progress`` (0..1), ``phase`` (str) and
    ``events`` (the `EventRecord` of every event fired during the step); more keys are kept.

    A plant whose events may wait for an inference has a method ``note_inferences``, see
    `xr0_sim.types.InferenceWatcher`; it is called before every `step`.
    """

    @property
    def control_hz(self) -> int:
        """Control rate [Hz]."""
        ...

    def reset(self, seed: int, options: Mapping[str, Any] | None = None) -> None:
        """Puts robot and scene at the start of an episode; tick 0 comes next."""
        ...

    def observe(self, images: bool = True) -> Observation:
        """Captures what a model may see at the start of the current tick."""
        ...

    def robot_state(self) -> RobotState:
        """Proprioception at the start of the current tick; cheap, called every tick."""
        ...

    def step(self, action: NDArray[np.float64]) -> tuple[float, bool, bool, dict[str, Any]]:
        """Executes one tick; returns reward, terminated, truncated, info."""
        ...


@dataclass(frozen=True, slots=True)
class EpisodeStart:
    """What is known before the first tick."""

    seed: int
    options: Mapping[str, Any]
    control_hz: int


@dataclass(frozen=True, slots=True)
class TickSample:
    """One executed tick: the decision, the robot it was taken for, and what came of it.

    Attributes:
        record: The executor's decision.
        robot: Proprioception at the start of the tick.
        reward: Reward of the tick.
        info: Info of the tick.
    """

    record: TickRecord
    robot: RobotState
    reward: float
    info: Mapping[str, Any]


@dataclass(frozen=True)
class EpisodeResult:
    """One finished episode.

    Attributes:
        seed: Seed of the episode.
        outcome: ``success`` or ``failure``; ``interrupted`` or ``error`` if it was cut short.
        progress: Share of the task done, 0..1.
        ticks: Executed ticks.
        duration_s: Simulated time [s].
        total_reward: Sum of rewards.
        terminated: The task ended the episode.
        truncated: A limit ended it: the task's own or ``max_ticks``.
        events: Events that fired, in order.
        info: Info of the last tick.
    """

    seed: int
    outcome: Outcome
    progress: float
    ticks: int
    duration_s: float
    total_reward: float
    terminated: bool
    truncated: bool
    events: tuple[EventRecord, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the task was solved."""
        return self.outcome == "success"


class Subscriber(Protocol):
    """Someone who watches an episode; never changes it.

    `on_end` is called exactly once per `on_reset`, also when the episode is interrupted or fails,
    so files can be closed and named with the outcome.
    """

    def on_reset(self, start: EpisodeStart) -> None:
        """Called after the plant and the executor were reset."""
        ...

    def on_tick(self, sample: TickSample) -> None:
        """Called after every tick; the plant stands at the start of the next one."""
        ...

    def on_event(self, event: EventRecord) -> None:
        """Called for every event of a tick, before that tick's `on_tick`."""
        ...

    def on_end(self, result: EpisodeResult) -> None:
        """Called when the episode is over."""
        ...


class _Episode:
    """Running totals of an episode."""

    def __init__(self, seed: int, control_hz: int) -> None:
        self.seed = seed
        self.control_hz = control_hz
        self.ticks = 0
        self.total_reward = 0.0
        self.terminated = False
        self.truncated = False
        self.events: list[EventRecord] = []
        self.info: Mapping[str, Any] = {}

    def result(self, outcome: Outcome | None = None) -> EpisodeResult:
        if outcome is None:
            outcome = "success" if self.info.get("success", False) else "failure"
        return EpisodeResult(
            seed=self.seed,
            outcome=outcome,
            progress=float(self.info.get("progress", 0.0)),
            ticks=self.ticks,
            duration_s=tick_ns(self.ticks, self.control_hz) / NS_PER_S,
            total_reward=self.total_reward,
            terminated=self.terminated,
            truncated=self.truncated,
            events=tuple(self.events),
            info=self.info,
        )


def run_episode(
    plant: Plant,
    executor: Executor,
    subscribers: Sequence[Subscriber] = (),
    *,
    seed: int,
    options: Mapping[str, Any] | None = None,
    max_ticks: int,
    images: bool = True,
) -> EpisodeResult:
    """Runs one episode to its end.

    Args:
        plant: Task to run in.
        executor: Executor with its model.
        subscribers: Watchers, called in order.
        seed: Seed of the scene, the latencies and the sampling noise.
        options: Reset options of the plant, e.g. ``{"events": [...]}``.
        max_ticks: Tick limit; reaching it truncates the episode.
        images: Whether captures render cameras; False for models that do not look.

    Returns:
        The result; the same object every subscriber got in `on_end`.
    """
    if max_ticks < 1:
        raise ConfigError(f"max_ticks: expected >= 1, got {max_ticks}")
    if plant.control_hz != executor.control_hz:
        raise ConfigError(
            f"control rate: expected the executor at the plant's {plant.control_hz} Hz, "
            f"got {executor.control_hz} Hz"
        )
    plant.reset(seed, options)
    executor.reset(seed, plant.robot_state().command)
    episode = _Episode(seed, plant.control_hz)
    begun: list[Subscriber] = []
    try:
        for subscriber in subscribers:
            begun.append(subscriber)
            subscriber.on_reset(EpisodeStart(seed, dict(options or {}), plant.control_hz))
        while episode.ticks < max_ticks and not (episode.terminated or episode.truncated):
            _run_tick(plant, executor, subscribers, episode, images)
    except BaseException as error:
        outcome: Outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "error"
        try:
            _end(begun, episode.result(outcome))
        except Exception as second:  # the first error is the one to see
            error.add_note(f"closing a subscriber failed as well: {second!r}")
        raise
    episode.truncated = episode.truncated or not episode.terminated
    result = episode.result()
    _end(begun, result)
    return result


def _run_tick(
    plant: Plant,
    executor: Executor,
    subscribers: Sequence[Subscriber],
    episode: _Episode,
    images: bool,
) -> None:
    robot = plant.robot_state()
    record = executor.tick(lambda: plant.observe(images=images))
    if isinstance(plant, InferenceWatcher):
        plant.note_inferences(executor.inferences())
    reward, terminated, truncated, info = plant.step(record.action)
    episode.ticks += 1
    episode.total_reward += float(reward)
    episode.terminated, episode.truncated = bool(terminated), bool(truncated)
    episode.info = info
    fired = tuple(info.get("events", ()))
    episode.events.extend(fired)
    sample = TickSample(record, robot, float(reward), info)
    for subscriber in subscribers:
        for event in fired:
            subscriber.on_event(event)
        subscriber.on_tick(sample)


def _end(subscribers: Sequence[Subscriber], result: EpisodeResult) -> None:
    """Tells every subscriber, even if one of them fails; the first failure is raised last."""
    failure: BaseException | None = None
    for subscriber in subscribers:
        try:
            subscriber.on_end(result)
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
