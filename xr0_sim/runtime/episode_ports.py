"""What an episode acts on, who may watch it, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from xr0_sim.runtime.tick_record import TickRecord
from xr0_sim.types import (
    EventRecord,
    Observation,
    RobotState,
)

Outcome = Literal["success", "failure", "invalid", "interrupted", "error", "unknown"]

NOT_FIRED = "event did not fire: "
"""How the reason of an episode begins that ended before all of its events had fired."""


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
        outcome: ``success`` or ``failure``; ``invalid`` if it says nothing about the policy;
            ``interrupted`` or ``error`` if it was cut short; ``unknown`` if nobody said what came
            of it.
        progress: Share of the task done, 0..1.
        ticks: Executed ticks.
        duration_s: Simulated time [s].
        total_reward: Sum of rewards.
        terminated: The task ended the episode.
        truncated: A limit ended it: the task's own or ``max_ticks``.
        events: Events that fired, in order.
        info: Info of the last tick.
        invalid_reason: Why it is ``invalid``: the physics broke, an event did not fire or the
            policy was lost; empty for every other outcome.
        stopped_early: The agreement that ended it before its time, e.g. ``no progress for 10 s``;
            empty for all others.
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
    invalid_reason: str = ""
    stopped_early: str = ""

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


class SubscriberBase:
    """A subscriber that does nothing; override what is wanted."""

    def on_reset(self, start: EpisodeStart) -> None:
        """See `Subscriber.on_reset`."""

    def on_tick(self, sample: TickSample) -> None:
        """See `Subscriber.on_tick`."""

    def on_event(self, event: EventRecord) -> None:
        """See `Subscriber.on_event`."""

    def on_end(self, result: EpisodeResult) -> None:
        """See `Subscriber.on_end`."""
