"""The page of a study: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.report.study_media import Film, Timeline, film_entries, timeline_entries
from experiments.report.study_panels import (
    PALETTE,
    Axis,
    choose_axes,
    contexts_of,
    draw_panel,
    level_colours,
    levels_of,
)
from experiments.report.study_sections import (
    event_section,
    ranking,
    strip_charts,
    validity_section,
)
from experiments.report.study_svg import inline_svg
from experiments.report.study_table import StudyTable, study_table
from experiments.report.style import text_style
from experiments.study.effects import Effects, study_effects
from experiments.study.effects_pairing import Pairing
from experiments.study.effects_words import headline, summaries
from xr0_sim.atomic import write_bytes

if TYPE_CHECKING:
    from pandas import DataFrame

TEMPLATE = Path(__file__).with_name("study_page.html")
PANEL_IN = (3.5, 2.5)
PANEL_BOX = (0.12, 0.24, 0.86, 0.64)
MOST_CONTEXTS = 12
"""Contexts with panels of their own; the table has them all."""


@dataclass(frozen=True)
class PageFacts:
    """What the frame cannot tell.

    Attributes:
        title: Heading.
        task: What was played, one line.
        excluded: Conditions left out: ``levels`` and ``reason``, see `Study.excluded`.
        card: Facts of the study card, e.g. versions and commit, as text.
        timelines: Chosen episodes.
        films: Chosen films.
        limits: Largest latencies that success bears and what a scene change costs over all kinds, a
            sentence each, see `Study.latency_limits` and `Study.mean_drops`.
    """

    title: str = "Study"
    task: str = ""
    excluded: Sequence[Mapping[str, Any]] = ()
    card: Mapping[str, str] | None = None
    timelines: Sequence[Timeline] = ()
    films: Sequence[Film] = ()
    limits: Sequence[str] = ()


def write_study_page(
    path: str | Path,
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    reference: Mapping[str, str] | None = None,
    *,
    facts: PageFacts | None = None,
    outcomes: Sequence[str] | None = None,
    cluster: str | None = None,
    limit_s: float | None = None,
    sequential: bool = False,
    rng: np.random.Generator | None = None,
) -> Path:
    """Writes the page; arguments as for `study_effects`.

    Args:
        path: The file.
        frame: See `study_effects`.
        factors: See `study_effects`.
        reference: See `study_effects`.
        facts: What the frame cannot tell.
        outcomes: See `study_effects`.
        cluster: See `study_effects`.
        limit_s: See `study_effects`.
        sequential: See `study_effects`.
        rng: See `study_effects`.

    Returns:
        The file.
    """
    from jinja2 import Environment, StrictUndefined

    path, facts = Path(path), facts or PageFacts()
    options: dict[str, Any] = {"outcomes": outcomes, "cluster": cluster, "limit_s": limit_s}
    options |= {"sequential": sequential, "rng": rng}
    pairing = Pairing(frame, factors, reference, cluster)
    table = study_table(frame, factors, reference, **options)
    effects = study_effects(frame, factors, reference, **options)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    axis = choose_axes(pairing)
    page = template.render(
        facts=facts,
        counts=_counts(pairing),
        overview=_overview(pairing, table, effects),
        table=table.cells(),
        factor_count=len(table.factors),
        legend=_legend(pairing, axis),
        palette=_palette(pairing, axis),
        axis=axis,
        panels=_panels(pairing, table, axis),
        hidden=max(0, len(contexts_of(pairing, axis)) - MOST_CONTEXTS),
        charts={kind: strip_charts(effects.select(kind=kind)) for kind in KIND_TEXTS},
        kinds=KIND_TEXTS,
        events=event_section(pairing, table.outcomes),
        validity=validity_section(pairing, facts.excluded),
        timelines=timeline_entries(facts.timelines),
        films=film_entries(facts.films, path.parent),
        methods=sorted({effect.method for effect in effects}),
        sequential=sequential,
    )
    write_bytes(path, page.encode())
    return path


KIND_TEXTS = {
    "main": "Averaged over the levels of all other factors",
    "interaction": "Two factors together: how much one changes the effect of the other",
    "simple": "In each context on its own",
}
"""Kind of effect -> heading."""


def _counts(pairing: Pairing) -> list[str]:
    frame = pairing.frame
    invalid = int((~frame["valid"].astype(bool)).sum())
    found = [f"{len(frame):,} episodes", f"{len(pairing.conditions)} conditions"]
    found.append(f"{len(pairing.seeds)} paired seeds")
    if len(pairing.trainings) > 1:
        found.append(f"{len(pairing.trainings)} trainings")
    return [*found, f"{invalid} invalid"]


def _overview(pairing: Pairing, table: StudyTable, effects: Effects) -> dict[str, Any]:
    """What is resolved and what is not, in words."""
    main, crossed = (effects.select(kind=kind) for kind in ("main", "interaction"))
    best, needs = ranking(pairing, table.outcomes)
    return {
        "headline": headline(main),
        "best": best,
        "needs": needs,
        "cards": summaries(main),
        "crossed": summaries(crossed),
        "crossed_headline": headline(crossed) if crossed else "",
        "unpaired": effects.unpaired,
    }


def _legend(pairing: Pairing, axis: Axis) -> list[tuple[int, str]]:
    """Place in the palette and text of every line of the panels."""
    return list(enumerate(levels_of(pairing, axis.colour))) if axis.colour else []


def _palette(pairing: Pairing, axis: Axis) -> list[str]:
    levels = levels_of(pairing, axis.colour) if axis.colour else []
    return list(level_colours(levels).values()) if levels else [PALETTE[0]]


def _panels(pairing: Pairing, table: StudyTable, axis: Axis) -> list[tuple[str, list[str]]]:
    """Per context its heading and the panels of all outcomes that have a value."""
    from matplotlib.figure import Figure

    names = {colour: f"var(--s{k})" for k, colour in enumerate(_palette(pairing, axis))}
    found = []
    for number, context in enumerate(contexts_of(pairing, axis)[:MOST_CONTEXTS]):
        drawings = []
        for outcome in table.outcomes:
            estimates = {
                condition: line.estimates[outcome.name]
                for condition, line in zip(pairing.conditions, table.lines, strict=True)
            }
            with text_style():
                figure = Figure(figsize=PANEL_IN)
                axes = figure.add_axes(PANEL_BOX)
                if draw_panel(axes, pairing, outcome, estimates, axis, context):
                    name = f"p{number}{outcome.name}"
                    drawings.append(inline_svg(figure, name, _told(outcome.label, context), names))
        heading = ", ".join(f"{name}: {level}" for name, level in context.items())
        if drawings:
            found.append((heading, drawings))
    return found


def _told(label: str, context: Mapping[str, str]) -> str:
    where = ", ".join(f"{name} {level}" for name, level in context.items())
    return f"{label} by condition, with 95 % intervals{': ' + where if where else ''}"
