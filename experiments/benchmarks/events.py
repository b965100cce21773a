"""``xr0-sim bench events``: what events move and overlap, and whether the expert copes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.tasks import make_env, register_events, task_spec
from envs.world import DEFAULT_WORLD
from experiments.benchmarks.report import Measure, report
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import choose_events, time_limit_ticks
from experiments.runner.pool import TaskPool, check_stop
from experiments.runner.progress import Progress
from experiments.runner.runner import seed_range
from xr0_sim.errors import SimulationError
from xr0_sim.metrics.statistics import wilson
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_presets
from xr0_sim.perturb.triggers import Trigger

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.scripted.expert import ScriptedExpert

OVERLAP_MM = 0.5
"""Deepest overlap made by an event that passes [mm]."""
GROWTH_M = 1e-4
"""A pair of bodies that overlapped before the event counts once it overlaps by so much more [m]."""


@dataclass(frozen=True)
class BenchEventsConfig(TaskOptions):
    """Lets the expert play into each event of a task, and looks at the scene right after it.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        kinds: Events; default: the task's own that the world has.
        episodes: Episodes per event.
        seed: Seed of the first; the others follow.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level.
        until_over: End an episode when its event is over; the expert is then not judged.
        workers: Worker processes; the results do not depend on it.
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    kinds: tuple[str, ...] = ()
    episodes: int = 60
    seed: int = 0
    max_seconds: float | None = None
    until_over: bool = False
    workers: int = 1
    json: bool = False


@dataclass(frozen=True)
class Watched(Event):
    """An event that tells how deep it put things into each other.

    Attributes:
        inner: The event.
    """

    inner: Event

    def apply(self, scene: Any, rng: np.random.Generator) -> Mapping[str, Any]:
        """Applies the event; an overlap counts if it was not there before."""
        from envs.scene.placement import Trial

        before = Trial(scene.model, scene.data).depths()
        told = self.inner.apply(scene, rng) or {}
        after = Trial(scene.model, scene.data).depths()
        made = [d for pair, d in after.items() if d > before.get(pair, 0.0) + GROWTH_M]
        return {**told, "overlap_mm": 1e3 * max(made, default=0.0)}


@dataclass(frozen=True)
class EventTask:
    """One episode with one event."""

    seed: int
    env: str
    env_kwargs: tuple[tuple[str, Any], ...]
    event: Event
    max_ticks: int
    until_over: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of one episode.

    Attributes:
        kind: Name of the event.
        fired: Whether it came due.
        refused: Why it could not happen; empty if it did.
        overlap_mm: Deepest overlap it made [mm].
        success: Whether the expert succeeded; None if the physics broke.
        asked_mm: How far a push was to move something [mm].
        moved_mm: How far it did [mm].
        duration_s: Duration of its sweep [s].
        peak_force_n: Largest force of the paddle [N].
    """

    kind: str
    fired: bool = False
    refused: str = ""
    overlap_mm: float = 0.0
    success: bool | None = None
    asked_mm: float | None = None
    moved_mm: float | None = None
    duration_s: float | None = None
    peak_force_n: float | None = None


@functools.lru_cache(maxsize=1)
def _stage(task: str, env_kwargs: tuple[tuple[str, Any], ...]) -> tuple[DualArmEnv, ScriptedExpert]:
    from policies.scripted.experts import make_expert

    env = make_env(task, **dict(env_kwargs))
    return env, make_expert(env)


def play(task: EventTask) -> Outcome:
    """Plays one episode to its end, or until its event is refused."""
    env, expert = _stage(task.env, task.env_kwargs)
    outcome = Outcome(task.event.kind)
    trigger: Trigger = task.event.trigger
    info: dict[str, Any] = {}
    due = 0
    try:
        env.reset_scene(task.seed, {"events": [Watched(task.event, trigger=trigger)]})
        for _ in range(task.max_ticks):
            check_stop()
            _, over, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
            for record in info["events"]:
                told = record.parameters
                outcome = replace(
                    outcome, fired=True, refused=record.refused, overlap_mm=told["overlap_mm"]
                )
                due = len(info.get("pushes", ())) + ("asked_m" in told)
            done = outcome.fired and len(info.get("pushes", ())) >= due
            if over or outcome.refused or (task.until_over and done):
                break
    except SimulationError:
        return outcome
    for push in info.get("pushes", ()):
        outcome = replace(
            outcome,
            asked_mm=1e3 * push["asked_m"],
            moved_mm=1e3 * push["moved_m"],
            duration_s=push["duration_s"],
            peak_force_n=push["peak_force_n"],
        )
    return outcome if task.until_over else replace(outcome, success=bool(info["success"]))


def run(config: BenchEventsConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    task, env_kwargs = config.task, config.env_kwargs()
    limit = time_limit_ticks(task, env_kwargs, config.max_seconds)
    world, hz = env_kwargs.get("world", DEFAULT_WORLD), task_spec(task).rate(env_kwargs)
    events = _events(config, world, limit, hz)
    seeds = seed_range(config.seed, config.episodes)
    tasks = [
        EventTask(seed, task, tuple(env_kwargs.items()), event, limit, config.until_over)
        for event in events
        for seed in seeds
    ]
    outcomes: list[Outcome] = []
    title = f"{task_spec(task).describe(env_kwargs)}: events"
    with TaskPool(config.workers) as pool, Progress(len(tasks), title) as progress:
        for done, outcome in pool.run(play, tasks):
            outcomes.append(outcome)
            progress.advance(f"{done.event.kind} {done.seed}", outcome.refused or "played")
    measures = [
        Measure(
            "event_overlaps",
            f"events that put something more than {OVERLAP_MM} mm into something",
            sum(o.overlap_mm > OVERLAP_MM for o in outcomes),
            n=len(outcomes),
            target=0.0,
        ),
        Measure(
            "event_overlap_worst_mm",
            "deepest overlap right after an event",
            max((o.overlap_mm for o in outcomes), default=0.0),
            "mm",
            n=len(outcomes),
            target=OVERLAP_MM,
        ),
    ]
    rows = [row([o for o in outcomes if o.kind == event.kind]) for event in events]
    tables: dict[str, Sequence[Mapping[str, Any]]] = {"events": rows}
    if config.json:
        tables["outcomes"] = [asdict(outcome) for outcome in outcomes]
    report(title, measures, as_json=config.json, config=config, tables=tables)
    return 0


def _events(config: BenchEventsConfig, world: str, limit: int, hz: int) -> list[Event]:
    """The events asked for, or all of the task that the world has."""
    from envs.events import in_world
    from envs.world import find_world

    register_events(config.task)
    if config.kinds:
        texts = list(config.kinds)
    else:
        home = task_spec(config.task).events
        own = [name for name, event in event_presets().items() if type(event).__module__ == home]
        texts = [name for name in own if in_world([name], find_world(world)) == (name,)]
    return [choose_events(config.task, text, limit, world, hz)[0] for text in texts]


def row(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One line of the table: what came of the episodes with one kind of event."""
    fired = [o for o in outcomes if o.fired]
    happened = [o for o in fired if not o.refused]
    judged = [o for o in happened if o.success is not None]
    success = wilson(sum(bool(o.success) for o in judged), len(judged)) if judged else None
    return {
        "kind": outcomes[0].kind,
        "n": len(outcomes),
        "fired": len(fired),
        "refused": len(fired) - len(happened),
        f"overlaps > {OVERLAP_MM} mm": sum(o.overlap_mm > OVERLAP_MM for o in happened),
        "worst mm": max((o.overlap_mm for o in happened), default=0.0),
        "asked mm": _spread([o.asked_mm for o in happened]),
        "moved mm": _spread([o.moved_mm for o in happened]),
        "moved - asked mm": _spread(
            [o.moved_mm - o.asked_mm for o in happened if o.moved_mm is not None and o.asked_mm]
        ),
        "peak N": _spread([o.peak_force_n for o in happened]),
        "expert": "–"
        if success is None
        else f"{sum(bool(o.success) for o in judged)}/{len(judged)} "
        f"[{100 * success.low:.0f}, {100 * success.high:.0f}] %",
    }


def _spread(values: Sequence[float | None]) -> str:
    """Median and range of what there is, as text."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{np.median(known):.1f} ({min(known):.1f} .. {max(known):.1f})"
