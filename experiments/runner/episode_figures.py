"""The row of an episode: its outcome, and its figures from its tick log and those of its twins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from envs.tasks import task_spec
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row
from experiments.runner.episode_run import Ran
from xr0_sim.metrics.compute import chunk_looks, corrected, looks
from xr0_sim.metrics.episode import episode_metrics
from xr0_sim.metrics.reaction import Reaction, event_reactions
from xr0_sim.metrics.schedule import open_loop_ticks
from xr0_sim.perturb.registry import event_text
from xr0_sim.record import TickTable
from xr0_sim.runtime.episode_ports import EpisodeResult
from xr0_sim.types import EventRecord


def episode_row(
    condition: Condition, ran: Ran, twin: Ran | None = None, later: Sequence[TickTable] = ()
) -> Row:
    """The row for ``episodes.jsonl``.

    Args:
        condition: What ran.
        ran: The episode.
        twin: The same without events; None for an episode without.
        later: For every event but the first that fired, the log of the run without it.
    """
    result, table = ran.result, ran.table
    row: Row = {
        "seed": result.seed,
        "outcome": result.outcome,
        "valid": result.outcome != "invalid",
        "invalid_reason": result.invalid_reason or None,
        "protective_stop": result.info.get("protective_stop") or None,
        "digest": table.digest(),
        "twin_digest": None,
        "video": None if ran.video is None else ran.video.name,
        "events": [
            {"kind": e.kind, "tick": e.tick, "parameters": _told(e, result.info)}
            for e in result.events
        ],
        "pending_events": [event_text(e) for e in result.info.get("pending_events", ())],
        "reactions": [],
    }
    if condition.stall_ticks is not None:
        row["stopped_early"] = result.stopped_early or None
    figures = _own_figures(condition, result, table)
    if result.events:
        figures["open_loop_ticks"] = open_loop_ticks(result.events[0].tick, looks(table.columns))
    if twin is not None:
        row["twin_digest"] = twin.table.digest()
        reactions = reactions_of(result, table, [twin.table, *later])
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
        figures |= against_twin(result, twin.result, reactions)
    row["figures"] = {name: _json_number(value) for name, value in figures.items()}
    return row


def _told(event: EventRecord, info: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of an event in the end: of a push or a drift, also what came of it."""
    told = dict(event.parameters)
    for mark, kind in (("asked_m", "pushes"), ("way_m", "drifts")):
        if mark in told:
            for outcome in info.get(kind, ()):
                told |= outcome if outcome["tick"] == event.tick else {}
            told.pop("tick", None)
    return told


def _own_figures(condition: Condition, result: EpisodeResult, table: TickTable) -> dict[str, Any]:
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


def reactions_of(
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
        blind=~chunk_looks(table.columns),
        corrected=corrected(table.columns),
    )


def against_twin(
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
