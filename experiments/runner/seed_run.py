"""One seed of one condition: the episode, its undisturbed twin, their logs and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from envs.tasks import make_env, task_spec
from experiments.runner.checked_plant import CheckedPlant
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row, log_path
from experiments.runner.film_options import SCENE_CAMERA, FilmOptions
from experiments.runner.pool import check_stop
from policies.table import Policy, policy_spec
from policies.xr0.checkpoints import Weights
from xr0_sim.errors import SimulationError
from xr0_sim.metrics.episode import episode_metrics
from xr0_sim.metrics.reaction import Reaction, event_reactions
from xr0_sim.perturb.registry import event_text
from xr0_sim.perturb.triggers import Never
from xr0_sim.record import TickLog, TickTable, write_ticklog
from xr0_sim.runtime import Executor, run_episode
from xr0_sim.runtime.episode import EpisodeResult, EpisodeStart, TickSample
from xr0_sim.types import EventRecord
from xr0_sim.view import Insets, Overlay, VideoRecorder

VIDEO_FOLDER = "videos"


@dataclass(frozen=True)
class EpisodeTask:
    """What a worker is asked to do.

    Attributes:
        condition: Everything but the seed.
        seed: Seed of scene, latencies and noise.
        folder: Where logs and videos go; None to keep nothing.
        film: How the episode is filmed; None for no film. A twin is never filmed.
    """

    condition: Condition
    seed: int
    folder: Path | None = None
    film: FilmOptions | None = None


class StopSwitch:
    """Subscriber that ends an episode when the user has interrupted the parent process."""

    def on_reset(self, start: EpisodeStart) -> None:
        """Nothing to do."""

    def on_tick(self, sample: TickSample) -> None:
        """Looks once per tick."""
        check_stop()

    def on_event(self, event: EventRecord) -> None:
        """Nothing to do."""

    def on_end(self, result: EpisodeResult) -> None:
        """Nothing to do."""


@lru_cache(maxsize=4)
def _policy(name: str, weights: Weights | None) -> Policy:
    """Loaded weights, shared by conditions; their digest tells versions apart."""
    return policy_spec(name).load(weights)


@lru_cache(maxsize=2)
def _plant(
    env: str,
    image_size: int | None,
    film: bool,
    size: tuple[int, int] | None,
    env_kwargs: tuple[tuple[str, Any], ...],
) -> Any:
    from envs.plant import EnvPlant

    given = dict(env_kwargs) if size is None else {**dict(env_kwargs), "render_size": size}
    return EnvPlant(make_env(env, image_size=image_size, filmed=film, **given))


def run_seed(task: EpisodeTask) -> Row:
    """Runs an episode and, if it has events, its twin; writes both logs.

    Returns:
        The row for ``episodes.jsonl``.
    """
    condition = task.condition
    result, table, video = _run(condition, task)
    if video is not None and task.film is not None and not task.film.kept(result.outcome):
        video.unlink(missing_ok=True)
        video = None
    row: Row = {
        "seed": task.seed,
        "outcome": result.outcome,
        "valid": result.outcome != "invalid",
        "invalid_reason": result.invalid_reason or None,
        "protective_stop": result.info.get("protective_stop") or None,
        "digest": table.digest(),
        "twin_digest": None,
        "video": None if video is None else video.name,
        "events": [
            {"kind": e.kind, "tick": e.tick, "parameters": _told(e, result.info)}
            for e in result.events
        ],
        "pending_events": [event_text(e) for e in result.info.get("pending_events", ())],
        "reactions": [],
    }
    figures = _figures(condition, result, table)
    if task.folder is not None:
        write_ticklog(table, log_path(task.folder, task.seed))
    if condition.events:
        twin, twin_table, _ = _run(condition.undisturbed, replace(task, film=None))
        row["twin_digest"] = twin_table.digest()
        twins = [twin_table, *_later_twins(task, result)]
        reactions = _reactions(result, table, twins)
        row["reactions"] = [
            {
                "kind": event.kind,
                "tick": event.tick,
                "reaction_s": found.seconds,
                "reaction_bound_s": found.lower_bound_s,
                "observed_s": found.observed_s,
                "comparable": found.comparable,
            }
            for event, found in zip(result.events, reactions, strict=True)
        ]
        figures |= _against_twin(result, twin, reactions)
        if task.folder is not None:
            write_ticklog(twin_table, log_path(task.folder, task.seed, twin=True))
    row["figures"] = {name: _json_number(value) for name, value in figures.items()}
    return row


def _told(event: EventRecord, info: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of an event in the end: of a push, also what came of it."""
    told = dict(event.parameters)
    if "asked_m" in told:
        for push in info.get("pushes", ()):
            told |= push if push["tick"] == event.tick else {}
        told.pop("tick", None)
    return told


def film_seed(task: EpisodeTask) -> tuple[str, Path | None]:
    """Runs an episode for its film alone: digest of its tick log, and the film."""
    _, table, video = _run(task.condition, task)
    return table.digest(), video


def _run(condition: Condition, task: EpisodeTask) -> tuple[EpisodeResult, TickTable, Path | None]:
    policy = _policy(condition.policy, condition.weights)
    env_kwargs = tuple(sorted(condition.env_kwargs.items()))
    film = task.film
    size = None if film is None else film.size
    plant = _plant(condition.env, policy.image_size, film is not None, size, env_kwargs)
    executor = Executor(
        policy.bind(plant.env),
        condition.strategy,
        condition.latency,
        condition.estimator,
        plant.control_hz,
    )
    log = TickLog()
    watchers: list[Any] = [log, StopSwitch()]
    recorder = None
    if film is not None and task.folder is not None:
        scene = film.camera == SCENE_CAMERA
        picture = plant.env.render if scene else partial(plant.env.film_image, film.camera)
        if scene and film.insets:
            picture = Insets(picture, plant.env.camera_images)
        recorder = VideoRecorder(
            task.folder / VIDEO_FOLDER,
            condition.env if scene else f"{condition.env}_{film.camera}",
            picture,
            Overlay("", condition.label),
            film.every,
        )
        watchers.append(recorder)
    try:
        result = run_episode(
            CheckedPlant(plant),
            executor,
            watchers,
            seed=task.seed,
            options={"events": list(condition.events)},
            max_ticks=condition.max_ticks,
            images=policy.looks,
        )
    except SimulationError as error:  # of the reset: not a tick was played
        return _never_began(task.seed, str(error)), _no_ticks(task.seed, plant.control_hz), None
    return result, log.table(), recorder.paths[-1] if recorder and recorder.paths else None


def _never_began(seed: int, reason: str) -> EpisodeResult:
    return EpisodeResult(seed, "invalid", 0.0, 0, 0.0, 0.0, False, False, invalid_reason=reason)


def _no_ticks(seed: int, control_hz: int) -> TickTable:
    empty = TickLog().table()
    return TickTable(empty.columns, {"seed": seed, "control_hz": control_hz, "outcome": "invalid"})


def _figures(condition: Condition, result: EpisodeResult, table: TickTable) -> dict[str, Any]:
    entry = task_spec(condition.env)
    control_hz = table.meta["control_hz"]
    if result.ticks:
        counted = replace(result, info={**result.info, "pieces": entry.count(result.info)})
        figures = episode_metrics(counted, table.columns, control_hz, entry.pieces)
    else:
        figures = episode_metrics(result, table.columns, control_hz)
    del figures["seed"]
    figures["drops"] = result.info.get("drops")
    figures["peak_contact_force_n"] = result.info.get("peak_contact_force")
    figures["protective_stop"] = bool(result.info.get("protective_stop"))
    return figures


def _later_twins(task: EpisodeTask, result: EpisodeResult) -> list[TickTable]:
    """For every event but the first that fired: the run with the events of earlier ticks alone."""
    twins: dict[int, TickTable] = {}
    for record in result.events[1:]:
        if record.tick not in twins:
            before = {other.index for other in result.events if other.tick < record.tick}
            events = tuple(
                event if index in before else replace(event, trigger=Never())
                for index, event in enumerate(task.condition.events)
            )
            condition = replace(task.condition, events=events)
            twins[record.tick] = _run(condition, replace(task, film=None))[1]
    return [twins[record.tick] for record in result.events[1:]]


def _reactions(
    result: EpisodeResult, table: TickTable, twins: Sequence[TickTable]
) -> tuple[Reaction, ...]:
    """Reaction to every event that fired; ``twins`` holds one run per event, see above."""
    if not result.events:
        return ()
    return event_reactions(
        table["action"],
        [twin["action"] for twin in twins],
        [event.tick for event in result.events],
        table.meta["control_hz"],
        started=table["started"],
        d_ceil=table["d_ceil"],
        prefix_steps=table["prefix_steps"],
    )


def _against_twin(
    result: EpisodeResult, twin: EpisodeResult, reactions: Sequence[Reaction]
) -> dict[str, Any]:
    """Reaction to the first event that fired, and the time the episode took beyond its twin's."""
    figures: dict[str, Any] = {
        "event_fired": bool(result.events),
        "twin_success": None if twin.outcome == "invalid" else twin.success,
        "reaction_s": None,
        "reaction_bound_s": None,
        "reaction_censored": None,
        "extra_time_s": None,
    }
    if not reactions or twin.outcome == "invalid":
        return figures
    first = reactions[0]
    figures["reaction_s"] = first.seconds
    figures["reaction_bound_s"] = first.lower_bound_s
    figures["reaction_censored"] = first.seconds is None
    if result.success and twin.success:
        figures["extra_time_s"] = result.duration_s - twin.duration_s
    return figures


def _json_number(value: Any) -> Any:
    """Plain bool, int, float or None; numbers that are not finite become None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
