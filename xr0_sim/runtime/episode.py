"""One episode: a plant, an executor, and whoever wants to watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from xr0_sim.conventions import NS_PER_S, tick_ns
from xr0_sim.errors import ConfigError, InvalidEpisodeError
from xr0_sim.runtime.episode_ports import (
    NOT_FIRED,
    EpisodeResult,
    EpisodeStart,
    Outcome,
    Plant,
    Subscriber,
    TickSample,
)
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.tick_record import TickRecord
from xr0_sim.types import (
    ActionChunk,
    ChunkRequest,
    EventRecord,
    InferenceWatcher,
    Observation,
    RobotState,
    infer_chunks,
)


class EpisodeLoop:
    """One episode, tick by tick: the loop of `run_episode` and of every Gym policy.

    A tick is `decide`, then, once the plant has moved, `complete`. Whoever infers for several
    environments in one pass calls `request`, `submit` and `select` in place of `decide`.

    Args:
        executor: Executor with its model.
        subscribers: Watchers, called in order.
        max_stalled_ticks: Ticks without progress after which the episode ends; None for no such
            agreement.
    """

    def __init__(
        self,
        executor: Executor,
        subscribers: Sequence[Subscriber] = (),
        max_stalled_ticks: int | None = None,
    ) -> None:
        self.executor = executor
        self._max_stalled_ticks = max_stalled_ticks
        self.subscribers = tuple(subscribers)
        self._begun: list[Subscriber] = []
        self._running = False
        self._decided: tuple[TickRecord, RobotState] | None = None

    @property
    def running(self) -> bool:
        """Whether an episode has begun and not ended."""
        return self._running

    @property
    def decided(self) -> TickRecord | None:
        """The decision whose outcome is yet to be told, if there is one."""
        return None if self._decided is None else self._decided[0]

    @property
    def ticks(self) -> int:
        """Completed ticks of the episode."""
        return self._ticks

    @property
    def over(self) -> bool:
        """Whether the task, a limit or an agreement has ended the episode."""
        return self._terminated or self._truncated or self._stalled

    @property
    def _stalled(self) -> bool:
        limit = self._max_stalled_ticks
        return limit is not None and self._ticks - self._risen_tick >= limit

    def branch(
        self, subscribers: Sequence[Subscriber], events: Sequence[Any] | None = None
    ) -> EpisodeLoop:
        """A loop, with an executor of its own, that goes on from here by itself.

        Args:
            subscribers: Its watchers; they have been told what happened so far.
            events: Events that shall have fired by its end; None for the present ones.
        """
        branch = copy(self)
        branch.executor = self.executor.branch()
        branch.subscribers = tuple(subscribers)
        branch._begun = list(subscribers)
        branch._events = list(self._events)
        if events is not None:
            branch._wanted = tuple(events)
        return branch

    def begin(self, seed: int, robot: RobotState, options: Mapping[str, Any] | None = None) -> None:
        """Starts an episode after the plant was reset.

        Args:
            seed: Seed of the latencies and of the sampling noise.
            robot: Proprioception at tick 0.
            options: Reset options, for the subscribers.
        """
        self.executor.reset(seed, robot.command)
        self.seed = seed
        self._ticks, self._total_reward = 0, 0.0
        self._most_progress, self._risen_tick = 0.0, 0
        self._terminated = self._truncated = False
        self._events: list[EventRecord] = []
        self._info: Mapping[str, Any] = {}
        self._decided = None
        self._robot = robot
        self._begun, self._running = [], True
        self._wanted = tuple((options or {}).get("events", ()))
        start = EpisodeStart(seed, dict(options or {}), self.executor.control_hz)
        for subscriber in self.subscribers:
            self._begun.append(subscriber)
            subscriber.on_reset(start)

    def decide(self, robot: RobotState, observe: Callable[[], Observation]) -> TickRecord:
        """Decides the action of the next tick.

        Args:
            robot: Proprioception at the start of the tick.
            observe: See `Executor.tick`.
        """
        request = self.request(robot, observe)
        if request is not None:
            self.submit(infer_chunks(self.executor.model, request))
        return self.select()

    def request(self, robot: RobotState, observe: Callable[[], Observation]) -> ChunkRequest | None:
        """`Executor.request`."""
        self._robot = robot
        return self.executor.request(observe)

    def submit(self, answer: ActionChunk | Sequence[ActionChunk]) -> None:
        """`Executor.submit`."""
        self.executor.submit(answer)

    def select(self) -> TickRecord:
        """`Executor.select`."""
        record = self.executor.select()
        self._decided = (record, self._robot)
        return record

    def complete(
        self, reward: float, terminated: bool, truncated: bool, info: Mapping[str, Any]
    ) -> None:
        """Takes what came of the tick that was decided last, and tells the subscribers."""
        if self._decided is None:
            raise ConfigError("episode: expected decide() before complete()")
        record, robot = self._decided
        self._decided = None
        self._ticks += 1
        self._total_reward += float(reward)
        self._terminated, self._truncated = bool(terminated), bool(truncated)
        self._info = info
        progress = float(info.get("progress", 0.0))
        if progress > self._most_progress:
            self._most_progress, self._risen_tick = progress, self._ticks
        fired = tuple(info.get("events", ()))
        self._events.extend(fired)
        sample = TickSample(record, robot, float(reward), info)
        for subscriber in self.subscribers:
            for event in fired:
                subscriber.on_event(event)
            subscriber.on_tick(sample)

    def end(self, outcome: Outcome | None = None, invalid_reason: str = "") -> EpisodeResult:
        """Ends the episode and tells every subscriber that has begun, once.

        Args:
            outcome: None for ``success`` or ``failure`` as the last info says, or ``invalid`` if
                the physics broke or an event did not fire.
            invalid_reason: Why an ``invalid`` episode is.

        Returns:
            The result; the same object every subscriber gets.
        """
        if outcome is None:
            outcome = "success" if self._info.get("success", False) else "failure"
            self._truncated = self._truncated or not self._terminated
            invalid_reason = self._flaw()
            outcome = "invalid" if invalid_reason else outcome
        result = EpisodeResult(
            seed=self.seed,
            outcome=outcome,
            progress=float(self._info.get("progress", 0.0)),
            ticks=self._ticks,
            duration_s=tick_ns(self._ticks, self.executor.control_hz) / NS_PER_S,
            total_reward=self._total_reward,
            terminated=self._terminated,
            truncated=self._truncated,
            events=tuple(self._events),
            info=self._info,
            invalid_reason=invalid_reason,
            stopped_early=self._agreement() if self._stalled and not self._terminated else "",
        )
        self._running, begun = False, self._begun
        self._begun = []
        _end(begun, result)
        return result

    def _agreement(self) -> str:
        seconds = (self._max_stalled_ticks or 0) / self.executor.control_hz
        return f"no progress for {seconds:g} s"

    def _flaw(self) -> str:
        """Why the episode is invalid; empty if it is not."""
        if "failure" in self._info:
            return f"simulation: {self._info['failure']}"
        # By place in the list: what a world calls an event may be another name than its kind.
        fired = {event.index for event in self._events}
        wanted = [(i, event.kind) for i, event in enumerate(self._wanted) if hasattr(event, "kind")]
        missed = sorted(kind for index, kind in wanted if index not in fired)
        missed += [f"{e.kind} ({e.refused})" for e in self._events if e.refused]
        return f"{NOT_FIRED}{', '.join(missed)}" if missed else ""


def run_episode(
    plant: Plant,
    executor: Executor,
    subscribers: Sequence[Subscriber] = (),
    *,
    seed: int,
    options: Mapping[str, Any] | None = None,
    max_ticks: int,
    images: bool = True,
    before_step: Callable[[EpisodeLoop], None] | None = None,
    max_stalled_ticks: int | None = None,
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
        before_step: Called in every tick between the decision and the plant's step, e.g. to keep a
            `xr0_sim.runtime.branching.Fork`.
        max_stalled_ticks: Ends the episode, as a failure, after so many ticks in which the most
            progress so far was not exceeded; None for no such agreement.

    Returns:
        The result; the same object every subscriber got in `on_end`. An episode whose physics
        breaks (`SimulationError`) or whose policy is lost (`PolicyLostError`) ends as ``invalid``
        and raises nothing.
    """
    if max_ticks < 1:
        raise ConfigError(f"max_ticks: expected >= 1, got {max_ticks}")
    if plant.control_hz != executor.control_hz:
        raise ConfigError(
            f"control rate: expected the executor at the plant's {plant.control_hz} Hz, "
            f"got {executor.control_hz} Hz"
        )
    plant.reset(seed, options)
    loop = EpisodeLoop(executor, subscribers, max_stalled_ticks)

    def play() -> None:
        loop.begin(seed, plant.robot_state(), options)
        play_on(plant, loop, max_ticks, images, before_step)

    return finish(loop, play)


def play_on(
    plant: Plant,
    loop: EpisodeLoop,
    max_ticks: int,
    images: bool,
    before_step: Callable[[EpisodeLoop], None] | None = None,
) -> None:
    """Plays an episode that has begun to its end; arguments as those of `run_episode`."""
    while loop.decided is not None or (loop.ticks < max_ticks and not loop.over):
        if loop.decided is None:
            loop.decide(plant.robot_state(), lambda: plant.observe(images=images))
            if isinstance(plant, InferenceWatcher):
                plant.note_inferences(loop.executor.inferences())
            if before_step is not None:
                before_step(loop)
        assert loop.decided is not None
        loop.complete(*plant.step(loop.decided.action))


def finish(loop: EpisodeLoop, play: Callable[[], None]) -> EpisodeResult:
    """Calls ``play`` and ends the episode, whatever comes of it; see `run_episode`."""
    try:
        play()
    except InvalidEpisodeError as error:
        if not loop.running:
            raise
        return loop.end("invalid", str(error))
    except BaseException as error:
        outcome: Outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "error"
        try:
            if loop.running:
                loop.end(outcome)
        except Exception as second:  # the first error is the one to see
            error.add_note(f"closing a subscriber failed as well: {second!r}")
        raise
    return loop.end()


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
