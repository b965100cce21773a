"""One undisturbed twin for any number of event lists; their episodes go on from it.

What an episode shares with its twin is played once. The rows are those of episodes run from their
beginning, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from experiments.runner.condition import Condition
from experiments.runner.episode_run import EpisodeSetup, EpisodeTask, Ran, StopSwitch, run_whole
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.triggers import Never
from xr0_sim.record import TickLog, TickTable
from xr0_sim.runtime.branching import Fork, unfired
from xr0_sim.runtime.episode import EpisodeLoop
from xr0_sim.runtime.episode_ports import EpisodeResult

Member = tuple[Ran, list[TickTable]]
"""An episode with events, and for every event but the first that fired the log of its twin."""


@dataclass
class Family:
    """A twin and the episodes that go on from it.

    Attributes:
        twin: The episode without events.
        members: One for every list of events, in order; that of an empty list is the twin.
        cpu_s: CPU time of the twin, then of every member [s].
    """

    twin: Ran
    members: list[Member] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


def run_from_twin(
    undisturbed: Condition, seed: int, event_lists: Sequence[tuple[Event, ...]]
) -> Family:
    """Runs the twin of a seed and an episode for every list of events.

    Args:
        undisturbed: Condition without events.
        seed: Seed of all of them.
        event_lists: What shall happen in each.
    """
    started = time.process_time()
    setup = EpisodeSetup(undisturbed)
    log, forks = TickLog(), [Fork(setup.plant, events) for events in event_lists]
    logs: dict[int, TickLog] = {}

    def look(loop: EpisodeLoop) -> None:
        for number, fork in enumerate(forks):
            if fork.events and fork.look(loop):
                logs[number] = log.branch()

    shares = not getattr(setup.executor.model, "remembers", False)
    result = setup.run(seed, [log, StopSwitch()], look if shares else None)
    twin = setup.never_began(seed) if result is None else Ran(result, log.table())
    family = Family(twin)
    for number, fork in enumerate(forks):
        family.cpu_s.append(time.process_time() - started)
        started = time.process_time()
        if not fork.events:
            family.members.append((twin, []))
        elif not shares:
            family.members.append(_whole(undisturbed, seed, fork.events))
        elif fork.tick is None:
            table = replace(twin.table, meta={**twin.table.meta, "outcome": "invalid"})
            ran = Ran(unfired(twin.result, fork.events), table, None, twin.result.ticks)
            family.members.append((ran, []))
        else:
            family.members.append(_branched(setup, fork, logs[number]))
    family.cpu_s.append(time.process_time() - started)
    return family


def earlier_alone(events: Sequence[Event], result: EpisodeResult, tick: int) -> tuple[Event, ...]:
    """Events of which only those happen that fired before a tick."""
    before = {record.index for record in result.events if record.tick < tick}
    return tuple(
        event if index in before else replace(event, trigger=Never())
        for index, event in enumerate(events)
    )


def _branched(setup: EpisodeSetup, fork: Fork, log: TickLog) -> Member:
    def play(events: Sequence[Event] | None = None) -> Ran:
        own = log.branch()
        result = fork.continue_episode(
            [own, StopSwitch()],
            max_ticks=setup.condition.max_ticks,
            images=setup.policy.looks,
            events=events,
        )
        return Ran(result, own.table(), None, fork.tick or 0)

    ran = play()
    twins: dict[int, TickTable] = {}
    for record in ran.result.events[1:]:
        if record.tick not in twins:
            twins[record.tick] = play(earlier_alone(fork.events, ran.result, record.tick)).table
    return ran, [twins[record.tick] for record in ran.result.events[1:]]


def _whole(undisturbed: Condition, seed: int, events: tuple[Event, ...]) -> Member:
    condition = replace(undisturbed, events=events)
    ran = run_whole(condition, EpisodeTask(condition, seed))
    twins: dict[int, TickTable] = {}
    for record in ran.result.events[1:]:
        if record.tick not in twins:
            earlier = replace(condition, events=earlier_alone(events, ran.result, record.tick))
            twins[record.tick] = run_whole(earlier, EpisodeTask(earlier, seed)).table
    return ran, [twins[record.tick] for record in ran.result.events[1:]]
