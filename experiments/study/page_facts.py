"""What the page of a study takes from its folder: the card as text, and chosen tick logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.report.study_media import BEFORE_TICKS, Timeline
from experiments.runner.episode_rows import log_path
from experiments.study.folder import TICKS
from experiments.study.jobs import ticks_name
from xr0_sim.record import read_ticklog

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = ("created", "commit", "platform", "processor", "renderer", "versions", "weights", "plugins")
"""Entries of the card that a page shows; the whole card lies beside it."""


def task_text(task: str) -> str:
    """``towel_folding`` as people read it."""
    return task.replace("_", " ").capitalize()


def card_texts(card: Mapping[str, Any] | None) -> dict[str, str]:
    """Entries of the study card as text."""
    if card is None:
        return {}
    config = card.get("config") or {}
    found = {name: card.get(name, config.get(name)) for name in SHOWN}
    texts = {name: _text(value) for name, value in found.items() if value}
    fixed = (config.get("design") or {}).get("fixed")
    return {**texts, **({"fixed": _text(fixed)} if fixed else {})}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    return str(value)


def chosen_timelines(folder: Path | None, frame: DataFrame, most: int) -> list[Timeline]:
    """Tick logs of the first seed that failed somewhere, else of the first, condition by condition.

    Args:
        folder: The study's; None gives none.
        frame: Its rows.
        most: Greatest number of timelines.
    """
    if folder is None or not (folder / TICKS).is_dir() or frame.empty:
        return []
    told = frame[frame["valid"]]
    failed = told[~told["success"].astype("boolean").fillna(True).astype(bool)]
    seeds = (failed if len(failed) else told)["seed"]
    if seeds.empty:
        return []
    found: list[Timeline] = []
    for _, row in told[told["seed"] == seeds.min()].iterrows():
        path = log_path(folder / TICKS / ticks_name(str(row["condition"])), int(row["seed"]))
        if not path.is_file() or len(found) == most:
            continue
        tick = row["event_tick"]
        event = "" if row["event_kind"] is None else f", {row['event_kind']} in tick {tick}"
        title = f"{row['condition']}: seed {row['seed']}, {row['outcome']}{event}"
        at = BEFORE_TICKS if row["event_kind"] is None else int(tick)
        found.append(Timeline(title, read_ticklog(path), at))
    return found
