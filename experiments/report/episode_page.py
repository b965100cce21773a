"""The page of one episode: timeline, replay in three dimensions, film; it needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.report.episode_lanes import PX, lanes_svg
from experiments.report.episode_scene import Moving, scene_data
from experiments.report.study_media import Film, film_entries
from xr0_sim.atomic import write_bytes
from xr0_sim.record.ticklog import TickTable

TEMPLATE = Path(__file__).with_name("episode_page.html")
SCRIPTS = tuple(Path(__file__).with_name(name) for name in ("scene.js", "episode_page.js"))


@dataclass(frozen=True)
class Played:
    """One episode of the page.

    Attributes:
        name: What stands over its replay.
        table: Its tick log.
        motion: What moved; None leaves its replay out.
    """

    name: str
    table: TickTable
    motion: Moving | None = None


def write_episode_page(
    path: str | Path,
    episode: Played,
    twin: Played | None,
    row: Mapping[str, Any],
    title: str,
    films: Sequence[Film] = (),
) -> Path:
    """Writes the page.

    Args:
        path: The file.
        episode: The episode.
        twin: Its undisturbed twin, for an episode with events.
        row: Its row in ``episodes.jsonl``.
        title: What ran, one line.
        films: Films of it.
    """
    from jinja2 import Environment, StrictUndefined

    path = Path(path)
    played = [p for p in (episode, twin) if p is not None]
    hz = float(episode.table.meta["control_hz"])
    data = {
        "hz": hz,
        "px": PX,
        "ticks": len(episode.table),
        "scenes": [
            {"name": p.name, **scene_data(p.motion)} for p in played if p.motion is not None
        ],
        "first_event": min((r["tick"] for r in row["reactions"]), default=0),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        facts=_facts(row, len(episode.table), hz),
        reactions=[_told(found) for found in row["reactions"]],
        lanes=lanes_svg(episode.table, twin.table if twin else None, row["reactions"]),
        scenes=[p.name for p in played if p.motion is not None],
        films=film_entries(films, path.parent),
        last=len(episode.table),
        # "</" would end the script element.
        data=json.dumps(data, separators=(",", ":")).replace("</", "<\\/"),
        script="\n".join(file.read_text(encoding="utf-8") for file in SCRIPTS),
    )
    write_bytes(path, page.encode())
    return path


def _facts(row: Mapping[str, Any], ticks: int, hz: float) -> list[str]:
    found = [f"seed {row['seed']}", row.get("outcome") or "", f"{ticks / hz:.1f} s, {ticks} ticks"]
    if row.get("invalid_reason"):
        found.append(f"invalid: {row['invalid_reason']}")
    if row.get("protective_stop"):
        found.append(f"protective stop: {row['protective_stop']}")
    return [*(text for text in found if text), f"tick log {row['digest'][:12]}"]


def _told(found: Mapping[str, Any]) -> str:
    """One reaction in words."""
    text = f"{found['kind']} in tick {found['tick']}: "
    seconds, bound = found.get("reaction_s"), found.get("reaction_bound_s")
    if seconds is None:
        text += "no changed command seen"
    else:
        text += f"first changed command after {1000 * seconds:.0f} ms"
    if bound is not None:
        text += f"; {1000 * bound:.0f} ms at the earliest in this schedule"
        if seconds is not None and bound > 0:
            text += f" ({seconds / bound:.2f} times that)"
    return text
