"""Fires the events of an episode, each once, when its trigger is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_to_dict, json_value
from xr0_sim.perturb.triggers import Moment
from xr0_sim.runtime.random_streams import Stream, check_seed, stream_rng
from xr0_sim.types import EventRecord, InferenceMoment


@dataclass(frozen=True)
class ScheduleState:
    """Snapshot of an `EventSchedule`; part of a scene snapshot.

    Attributes:
        fired: Indices of the events that have fired.
        phase: Phase at the last call.
        phase_entries_ns: (phase, entry times [ns]) pairs.
        inferences: Inferences noted so far.
    """

    fired: tuple[int, ...]
    phase: str | None
    phase_entries_ns: tuple[tuple[str, tuple[int, ...]], ...]
    inferences: tuple[InferenceMoment, ...] = ()


class EventSchedule:
    """Events of one episode.

    The random numbers of event i depend on the episode seed and i alone: not on when it fires, nor
    on what else is scheduled after it.

    Args:
        events: Events in the order in which they fire if due together.
        seed: Episode seed.
    """

    def __init__(self, events: Iterable[Event] = (), seed: int = 0) -> None:
        self._events = tuple(events)
        self._seed = check_seed(seed)
        self._fired: set[int] = set()
        self._phase: str | None = None
        self._entries: dict[str, list[int]] = {}
        self.restore(ScheduleState((), None, ()))

    @property
    def pending(self) -> tuple[Event, ...]:
        """Events that have not fired yet."""
        if len(self._fired) == len(self._events):
            return ()
        return tuple(e for i, e in enumerate(self._events) if i not in self._fired)

    def add(self, event: Event) -> None:
        """Puts another event behind those that are there."""
        self._events += (event,)

    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """Takes note of the inferences under way, for triggers that wait for one.

        To be called before `fire` in every tick; inferences noted before stay known.
        """
        for inference in inferences:
            self._inferences[inference.number] = inference

    def fire(
        self, scene: Any, tick: int, time_ns: int, phase: str | None = None
    ) -> list[EventRecord]:
        """Applies every event that is due; call once per control tick, before its physics.

        Args:
            scene: Handed to `Event.apply`.
            tick: Current control tick.
            time_ns: Start of the tick [ns].
            phase: Phase of the task at the start of the tick, for `AtPhase`.
        """
        self._note_phase(phase, time_ns)
        if len(self._fired) == len(self._events):
            return []
        now = self._moment(scene, tick, time_ns)
        records = []
        for index, event in enumerate(self._events):
            if index in self._fired or not event.trigger.due(now):
                continue
            self._fired.add(index)
            drawn = event.apply(scene, stream_rng(self._seed, Stream.EVENT, index))
            parameters = event_to_dict(event)
            del parameters["kind"]
            parameters.update(json_value(drawn or {}))
            records.append(EventRecord(event.recorded_as(scene), tick, time_ns, parameters, index))
        return records

    def due(
        self,
        events: Iterable[Event],
        scene: Any,
        tick: int,
        time_ns: int,
        phase: str | None = None,
    ) -> bool:
        """Whether one of some other events would fire in this tick; to be asked before `fire`.

        Args:
            events: Events that are not in this schedule; none of them has fired.
            scene: See `fire`.
            tick: See `fire`.
            time_ns: See `fire`.
            phase: See `fire`.
        """
        self._note_phase(phase, time_ns)
        now = self._moment(scene, tick, time_ns)
        return any(event.trigger.due(now) for event in events)

    def _note_phase(self, phase: str | None, time_ns: int) -> None:
        if phase is not None and phase != self._phase:
            self._entries.setdefault(phase, []).append(time_ns)
        self._phase = phase

    def _moment(self, scene: Any, tick: int, time_ns: int) -> Moment:
        hz = getattr(scene, "control_hz", CONTROL_HZ)
        inferences = tuple(self._inferences.values())
        return Moment(tick, time_ns, self._entries, inferences, scene, hz)

    def snapshot(self) -> ScheduleState:
        """State to continue from later."""
        entries = tuple((phase, tuple(times)) for phase, times in self._entries.items())
        noted = tuple(self._inferences.values())
        return ScheduleState(tuple(sorted(self._fired)), self._phase, entries, noted)

    def restore(self, state: ScheduleState) -> None:
        """Continues from a snapshot of a schedule with the same events and seed."""
        self._fired = set(state.fired)
        self._phase = state.phase
        self._entries = {phase: list(times) for phase, times in state.phase_entries_ns}
        self._inferences = {inference.number: inference for inference in state.inferences}
