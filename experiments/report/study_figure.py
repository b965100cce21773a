"""The picture of a study: outcomes with their intervals, as small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.report.study_panels import (
    choose_axes,
    contexts_of,
    draw_panel,
)
from experiments.report.style import MUTED, text_style
from experiments.study.effects_estimates import estimate
from experiments.study.effects_outcomes import study_outcomes
from experiments.study.effects_pairing import Pairing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PANEL_IN = (2.6, 2.2)
HEAD_IN, LEGEND_IN = 0.28, 0.26
DPI = 140
MOST_ROWS = 8
"""Rows of panels in one picture; name fewer factors, or fewer levels, to see the others."""
USUAL = ("success", "time_to_success_s", "_per_min", "seam_position_mean_rad", "reaction_s")
"""Outcomes of the picture where none are named, as far as the frame has them."""


def study_figure(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    reference: Mapping[str, str] | None = None,
    *,
    outcomes: Sequence[str] | None = None,
    x: str | None = None,
    colour: str | None = None,
    cluster: str | None = None,
    limit_s: float | None = None,
    sequential: bool = False,
    rng: np.random.Generator | None = None,
) -> Figure:
    """Draws estimates with 95 % intervals: a column per outcome, a row per context.

    Args:
        frame: See `study_effects`.
        factors: See `study_effects`.
        reference: See `study_effects`.
        outcomes: Columns; None for the usual five.
        x: Factor along the axes; None for the first quantity, e.g. the latency.
        colour: Factor told by colour; None for the first other one.
        cluster: See `study_effects`.
        limit_s: See `study_effects`.
        sequential: See `study_effects`.
        rng: See `study_effects`.

    Returns:
        A figure of its own; it is not registered with pyplot.
    """
    from experiments.report.shown_figure import ShownFigure

    pairing = Pairing(frame, factors, reference, cluster)
    chosen = study_outcomes(frame, outcomes, limit_s)
    if outcomes is None:
        chosen = [o for o in chosen if o.name.endswith(USUAL)] or chosen[:4]
    axis = choose_axes(pairing, x, colour)
    contexts = contexts_of(pairing, axis)
    shown = contexts[:MOST_ROWS]
    head = HEAD_IN + (LEGEND_IN if axis.colour else 0.0)
    width, height = PANEL_IN[0] * len(chosen), PANEL_IN[1] * len(shown) + head
    with text_style():
        figure = ShownFigure(figsize=(width, height), dpi=DPI, facecolor="white")
        figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - head / height))
        grid = figure.subplots(len(shown), len(chosen), squeeze=False)
        for column, outcome in enumerate(chosen):
            found = {
                condition: estimate(pairing, outcome, k, sequential=sequential, rng=rng)
                for k, condition in enumerate(pairing.conditions)
            }
            for row, context in enumerate(shown):
                axes = grid[row, column]
                draw_panel(axes, pairing, outcome, found, axis, context)
                if column == 0 and context:
                    told = ", ".join(f"{name}: {level}" for name, level in context.items())
                    axes.set_ylabel(told, fontsize=9, fontweight="bold", labelpad=8)
        _head(figure, height, pairing, axis.colour, len(contexts) - len(shown))
    return figure


def _head(figure: Figure, height: float, pairing: Pairing, colour: str, hidden: int) -> None:
    """Legend and what the points and bars are."""
    seeds, trainings = len(pairing.seeds), len(pairing.trainings)
    text = f"{seeds} seed" + "s" * (seeds != 1)
    text += f", {trainings} trainings" if trainings > 1 else ""
    text += "; points with 95 % intervals"
    text += f"; {hidden} further rows are not shown" if hidden else ""
    figure.text(0.008, 1 - 0.16 / height, text, fontsize=8, color=MUTED, va="center")
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if colour:
        figure.legend(
            list(entries.values()),
            [f"{colour}: {label}" if k == 0 else label for k, label in enumerate(entries)],
            loc="upper left",
            bbox_to_anchor=(0.0, 1 - 0.24 / height),
            ncols=6,
            frameon=False,
            fontsize=9,
        )
