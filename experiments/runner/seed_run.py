"""One seed of one condition: the episode, its undisturbed twin, their logs and figures."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from envs.tasks import make_env, task_spec
from experiments.runner.checked_plant import CheckedPlant
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row, log_path
from experiments.runner.pool import check_stop
from policies.table import Policy, policy_spec
from policies.xr0.checkpoints import Weights
from xr0_sim.errors import SimulationError
from xr0_sim.metrics.episode import episode_metrics
from xr0_sim.metrics.reaction import earliest_reaction_ticks, reaction
from xr0_sim.record import TickLog, TickTable, write_ticklog
from xr0_sim.runtime import Executor, run_episode
from xr0_sim.runtime.episode import EpisodeResult, EpisodeStart, TickSample
from xr0_sim.types import EventRecord
from xr0_sim.view import Overlay, VideoRecorder

VIDEO_FOLDER = "videos"


@dataclass(frozen=True)
class EpisodeTask:
    """What a worker is asked to do.

    Attributes:
        condition: Everything but the seed.
        seed: Seed of scene, latencies and noise.
        folder: Where logs and videos go; None to keep nothing.
        film_every: Film one tick in this many; 0 for no video. A twin is never filmed.
    """

    condition: Condition
    seed: int
    folder: Path | None = None
    film_every: int = 0


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


@functools.lru_cache(maxsize=4)
def _policy(name: str, weights: Weights | None) -> Policy:
    """Loaded weights, shared by conditions; their digest tells versions apart."""
    return policy_spec(name).load(weights)


@functools.lru_cache(maxsize=2)
def _plant(env: str, image_size: int, film: bool, env_kwargs: tuple[tuple[str, Any], ...]) -> Any:
    from envs.plant import EnvPlant

    return EnvPlant(make_env(env, image_size=image_size, filmed=film, **dict(env_kwargs)))


def run_seed(task: EpisodeTask) -> Row:
    """Runs an episode and, if it has events, its twin; writes both logs.

    Returns:
        The row for ``episodes.jsonl``.
    """
    condition = task.condition
    result, table, video = _run(condition, task)
    row: Row = {
        "seed": task.seed,
        "outcome": result.outcome,
        "valid": result.outcome != "invalid",
        "invalid_reason": result.invalid_reason or None,
        "digest": table.digest(),
        "twin_digest": None,
        "video": None if video is None else video.name,
        "events": [
            {"kind": e.kind, "tick": e.tick, "parameters": dict(e.parameters)}
            for e in result.events
        ],
    }
    figures = _figures(condition, result, table)
    if task.folder is not None:
        write_ticklog(table, log_path(task.folder, task.seed))
    if condition.events:
        twin, twin_table, _ = _run(condition.undisturbed, replace(task, film_every=0))
        row["twin_digest"] = twin_table.digest()
        figures |= _against_twin(result, table, twin, twin_table)
        if task.folder is not None:
            write_ticklog(twin_table, log_path(task.folder, task.seed, twin=True))
    row["figures"] = {name: _json_number(value) for name, value in figures.items()}
    return row


def _run(condition: Condition, task: EpisodeTask) -> tuple[EpisodeResult, TickTable, Path | None]:
    policy = _policy(condition.policy, condition.weights)
    env_kwargs = tuple(sorted(condition.env_kwargs.items()))
    plant = _plant(condition.env, policy.image_size, task.film_every > 0, env_kwargs)
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
    if task.film_every and task.folder is not None:
        recorder = VideoRecorder(
            task.folder / VIDEO_FOLDER,
            condition.env,
            plant.env.render,
            Overlay("", condition.label),
            task.film_every,
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
    return EpisodeResult(
        seed, "invalid", 0.0, 0, 0.0, 0.0, False, False, invalid_reason=f"simulation: {reason}"
    )


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
    return figures


def _against_twin(
    result: EpisodeResult, table: TickTable, twin: EpisodeResult, twin_table: TickTable
) -> dict[str, Any]:
    """Reaction and recovery; the reaction is to the first event that fired."""
    figures: dict[str, Any] = {
        "event_fired": bool(result.events),
        "twin_success": None if twin.outcome == "invalid" else twin.success,
        "reaction_s": None,
        "reaction_bound_s": None,
        "reaction_censored": None,
        "extra_time_s": None,
    }
    if not result.events or twin.outcome == "invalid":
        return figures
    event_tick = result.events[0].tick
    earliest = earliest_reaction_ticks(
        event_tick, table["started"], table["d_ceil"], table["prefix_steps"]
    )
    found = reaction(
        table["action"],
        twin_table["action"],
        event_tick,
        table.meta["control_hz"],
        earliest_ticks=earliest,
    )
    figures["reaction_s"] = found.seconds
    figures["reaction_bound_s"] = found.lower_bound_s
    figures["reaction_censored"] = found.seconds is None
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
