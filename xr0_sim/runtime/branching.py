"""Episodes with events that go on from an episode without, from the tick of the first event on.

Up to its first event an episode is its undisturbed twin, bit for bit. Whoever runs one twin for
many events plays the common part once: a `Fork` keeps the tick in which the first event of a list
is due, `continue_episode` plays on from it with these events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from xr0_sim.runtime.episode import EpisodeLoop, finish, play_on
from xr0_sim.runtime.episode_ports import NOT_FIRED, EpisodeResult, Plant, Subscriber


@runtime_checkable
class BranchingPlant(Plant, Protocol):
    """A plant whose episode can be kept, and continued with other events."""

    def events_due(self, events: Sequence[Any]) -> bool:
        """Whether one of some events, none of them scheduled, would fire in the coming tick.

        Asked after `xr0_sim.types.InferenceWatcher.note_inferences` of that tick.
        """
        ...

    def snapshot(self) -> Any:
        """The present state, for `branch`."""
        ...

    def branch(self, state: Any, events: Sequence[Any]) -> None:
        """Goes on from a snapshot of this reset as if it had been made with ``events``."""
        ...


class Fork:
    """The tick of an episode without events in which the first of some events is due.

    Pass `look` as ``before_step`` to `xr0_sim.runtime.episode.run_episode`.

    Args:
        plant: Plant of the episode.
        events: Events that the branch shall have.

    Attributes:
        events: As given.
        tick: Ticks that the branch shares with its twin; None as long as no event was due.
    """

    def __init__(self, plant: BranchingPlant, events: Sequence[Any]) -> None:
        self.events = tuple(events)
        self.tick: int | None = None
        self._plant = plant
        self._loop: EpisodeLoop | None = None
        self._state: Any = None

    def look(self, loop: EpisodeLoop) -> bool:
        """Keeps the present tick if an event is due in it for the first time; whether it did."""
        if self.tick is not None or not self._plant.events_due(self.events):
            return False
        self.tick = loop.ticks
        self._loop = loop.branch((), self.events)
        self._state = self._plant.snapshot()
        return True

    def continue_episode(
        self,
        subscribers: Sequence[Subscriber],
        *,
        max_ticks: int,
        images: bool,
        events: Sequence[Any] | None = None,
    ) -> EpisodeResult:
        """Plays on with the events; may be called several times, the plant ends where it ends.

        Args:
            subscribers: Watchers that know the ticks before `tick`; they see the others.
            max_ticks: See `xr0_sim.runtime.episode.run_episode`.
            images: See there.
            events: Events in place of those of the fork; none is due before `tick`.
        """
        if self._loop is None:
            raise ValueError("fork: expected a tick in which an event is due; none was")
        wanted = self.events if events is None else tuple(events)
        loop = self._loop.branch(subscribers, wanted)

        def play() -> None:
            self._plant.branch(self._state, wanted)
            play_on(self._plant, loop, max_ticks, images)

        return finish(loop, play)


def unfired(twin: EpisodeResult, events: Sequence[Any]) -> EpisodeResult:
    """Result of an episode whose events never come due, from that of its twin."""
    info = dict(twin.info)
    if "pending_events" in info:
        info["pending_events"] = tuple(events)
    if twin.outcome == "invalid":
        return replace(twin, info=info)
    missed = sorted(event.kind for event in events if hasattr(event, "kind"))
    reason = f"{NOT_FIRED}{', '.join(missed)}"
    return replace(twin, outcome="invalid", invalid_reason=reason, info=info)
