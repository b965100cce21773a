"""Episodes that can be kept, restored and rehearsed, bit for bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from envs.disturbable_scene import DisturbableScene
from envs.events import check_events
from envs.snapshot import (
    Snapshot,
    model_fields,
    physics_state,
    restore_physics,
)
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule


class RestorableScene(DisturbableScene):
    """An episode whose state can be kept and continued from."""

    def snapshot(self) -> Snapshot:
        """The present state; `restore` continues from it bit for bit."""
        views = self._views("snapshot")
        return Snapshot(
            episode=self._episode,
            physics=physics_state(self.model, self.data),
            model=model_fields(self.model),
            command=self._command.copy(),
            tick=self.tick,
            instruction=self.instruction,
            schedule=self._schedule.snapshot(),
            frozen=views.frozen.snapshot(),
            faults=(views.faults.snapshot(), self._joint_faults.snapshot()),
            senses=self._perception.snapshot(),
            rng=self.np_random.bit_generator.state,
            assessment=self._assessment,
            failure=self._failure,
            protective_stop=self._stop.snapshot(),
            task=self._task_snapshot(),
            pusher=self._pusher.snapshot() if self._pusher is not None else None,
            belt=self._belt.snapshot(),
        )

    def restore(self, state: Snapshot) -> None:
        """Returns to a snapshot of the same episode.

        Raises:
            ConfigError: It is no snapshot, or one of another episode.
        """
        views = self._views("restore")
        if not isinstance(state, Snapshot):
            raise ConfigError(
                f"restore: expected what snapshot() returned, got {type(state).__name__}"
            )
        if state.episode != self._episode:
            raise ConfigError(
                "restore: expected a snapshot of the episode under way, got one of another "
                "episode; reset with that one's seed, options and arguments first"
            )
        restore_physics(self.model, self.data, state)
        self._command = state.command.copy()
        self.tick = state.tick
        self.instruction = state.instruction
        self._schedule.restore(state.schedule)
        views.frozen.restore(state.frozen)
        views.faults.restore(state.faults[0])
        self._joint_faults.restore(state.faults[1])
        self._perception.restore(state.senses)
        self.np_random.bit_generator.state = state.rng
        self._assessment = state.assessment
        self._failure = state.failure
        self._stop.restore(state.protective_stop)
        self._task_restore(state.task)
        if self._pusher is not None:
            self._pusher.restore(state.pusher)
        self._belt.restore(state.belt)

    def events_due(self, events: Sequence[Event]) -> bool:
        """Whether one of some events, none of them scheduled, would fire in the coming tick."""
        return self._schedule.due(events, self, self.tick, self.time_ns, self._assessment.phase)

    def branch(self, state: Snapshot, events: Sequence[Event]) -> None:
        """Goes on from a snapshot of this reset as if it had been made with ``events``.

        Args:
            state: Taken since the last reset, which had no events, in a tick before any of
                ``events`` was due.
            events: What shall happen from now on.

        Raises:
            ConfigError: The snapshot is one of another reset, or events had fired in it.
        """
        self._views("branch")
        if state.schedule.fired or state.episode != self._undisturbed:
            raise ConfigError(
                "branch: expected a snapshot of this reset in which no event had fired; take it "
                "in an episode without events"
            )
        events = parse_events(events)
        check_events(events, type(self), world=self.world)
        self._episode = self._undisturbed
        self._schedule = EventSchedule(events, self._event_seed)
        self.restore(state)
        self._episode = f"{self._undisturbed} {events!r}"

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Inside the block the episode may be played on freely; afterwards it is as before.

        Scheduled events do not fire in a rehearsal: nobody can foresee them.
        """
        state, schedule = self.snapshot(), self._schedule
        self._schedule = EventSchedule()
        try:
            yield
        finally:
            self._schedule = schedule
            self.restore(state)
