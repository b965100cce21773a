"""Timelines and films of chosen episodes, as a page carries them."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.report.study_svg import inline_svg
from experiments.report.style import text_style
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.record.ticklog import TickTable

BEFORE_TICKS, AFTER_TICKS = 15, 45
"""What a timeline shows around its tick: half a second before, one and a half after."""
MEDIA = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}


@dataclass(frozen=True)
class Timeline:
    """A stretch of one episode.

    Attributes:
        title: Condition and seed.
        table: Its tick log.
        tick: Tick to show, e.g. that of the event.
    """

    title: str
    table: TickTable
    tick: int = BEFORE_TICKS


@dataclass(frozen=True)
class Film:
    """A film of one episode.

    Attributes:
        title: Condition, seed and outcome.
        path: The file.
        embedded: Whether the page holds the film itself, or a link to the file.
        control_hz: Ticks a second of film [1/s], for the tick beside it.
        last_tick: Last tick of the episode, whose picture a film holds for a while; None if
            unknown.
    """

    title: str
    path: Path
    embedded: bool = False
    control_hz: float = CONTROL_HZ
    last_tick: int | None = None


def timeline_entries(timelines: Sequence[Timeline]) -> list[tuple[str, str]]:
    """Title and drawing of every timeline."""
    from xr0_sim.view.timeline_figure import timeline_figure

    found = []
    for number, chosen in enumerate(timelines):
        first = max(0, chosen.tick - BEFORE_TICKS)
        last = min(len(chosen.table["tick"]), chosen.tick + AFTER_TICKS)
        with text_style():
            figure = timeline_figure(chosen.table, first, last)
            found.append((chosen.title, inline_svg(figure, f"t{number}", chosen.title)))
    return found


def film_entries(films: Sequence[Film], folder: Path) -> list[dict[str, Any]]:
    """Title, source and rate of every film.

    Args:
        films: Which.
        folder: Where the page lies; links are relative to it.

    Raises:
        ConfigError: A film is not there, or of no kind that a browser plays.
    """
    found = []
    for film in films:
        if film.path.suffix not in MEDIA or not film.path.is_file():
            raise ConfigError(
                f"film: expected a file that ends in {', '.join(MEDIA)}, got {film.path}"
            )
        source = Path(os.path.relpath(film.path, folder)).as_posix()
        if film.embedded:
            data = base64.b64encode(film.path.read_bytes()).decode()
            source = f"data:{MEDIA[film.path.suffix]};base64,{data}"
        still = film.path.suffix == ".gif"
        last = "" if film.last_tick is None else film.last_tick
        entry = {"title": film.title, "source": source, "still": still}
        found.append({**entry, "hz": film.control_hz, "last": last})
    return found
