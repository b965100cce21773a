"""Panels of a study: one outcome over one factor, a line per level of another, with intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.report.study_table import heading
from experiments.report.style import COLOURS, GRID, MUTED, position_colours
from experiments.study.effects_estimates import Estimate
from experiments.study.effects_outcomes import Outcome
from experiments.study.effects_pairing import Levels, Pairing
from experiments.study.levels import AMOUNT
from xr0_sim.errors import unknown_name
from xr0_sim.metrics.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#a3559c", "#b8860b", "#56b4e9", "#5b5b5b")
"""After Okabe and Ito, safe for colour-blind readers; darker where a line would be too pale."""
MARKERS = "osD^vPX"
"""By level, so that a print in grey can be read too."""
QUANTITY = re.compile(rf"^(?P<number>{AMOUNT})( ?(?P<unit>ms|s|ticks?|steps?))?$")
SPREAD = 0.12
"""Distance of neighbouring lines, in levels, that keeps their intervals apart."""


@dataclass(frozen=True)
class Axis:
    """What the panels of a study show where.

    Attributes:
        x: Factor along the axis; empty where nothing was varied.
        colour: Factor told by colour; empty where one factor or none was varied.
        rest: The other varied factors; every combination is a row of panels.
    """

    x: str
    colour: str
    rest: tuple[str, ...]


def choose_axes(pairing: Pairing, x: str | None = None, colour: str | None = None) -> Axis:
    """Puts quantities such as latencies on the axis, and the first other factor in colour.

    Args:
        pairing: The study's pairing.
        x: Factor for the axis; None to choose.
        colour: Factor for the colour; None to choose.

    Raises:
        ConfigError: The named factor was not varied.
    """
    for name in (x, colour):
        if name is not None and name not in pairing.varied:
            raise unknown_name("varied factor", name, pairing.varied)
    left = [name for name in pairing.varied if name not in (x, colour)]
    if x is None and left:
        quantities = [n for n in left if all(QUANTITY.match(lv) for lv in levels_of(pairing, n))]
        x = (quantities or sorted(left, key=lambda n: -len(levels_of(pairing, n))))[0]
        left.remove(x)
    if colour is None and left:
        colour = left.pop(0)
    return Axis(x or "", colour or "", tuple(left))


def levels_of(pairing: Pairing, factor: str) -> list[str]:
    """Levels of a factor that a condition has, in order."""
    k = list(pairing.factors).index(factor)
    there = {condition[k] for condition in pairing.conditions}
    return [level for level in pairing.factors[factor] if level in there]


def level_colours(levels: Sequence[str]) -> dict[str, str]:
    """Colour per level; strategies keep the ones they have in other pictures."""
    if any(level in COLOURS for level in levels):
        return position_colours(levels)
    return {level: PALETTE[k % len(PALETTE)] for k, level in enumerate(levels)}


def contexts_of(pairing: Pairing, axis: Axis) -> list[dict[str, str]]:
    """Combinations of the other factors that a condition has, in order."""
    found = []
    for condition in pairing.conditions:
        told = dict(zip(pairing.factors, condition, strict=True))
        context = {name: told[name] for name in axis.rest}
        if context not in found:
            found.append(context)
    return found


def draw_panel(
    axes: Axes,
    pairing: Pairing,
    outcome: Outcome,
    estimates: Mapping[Levels, Estimate],
    axis: Axis,
    context: Mapping[str, str],
) -> bool:
    """Draws one panel.

    Args:
        axes: Where to draw.
        pairing: The study's pairing.
        outcome: What the panel shows.
        estimates: By condition.
        axis: What stands where.
        context: Levels of the factors that are neither on the axis nor in colour.

    Returns:
        Whether any condition had a value.
    """
    xs = levels_of(pairing, axis.x) if axis.x else [""]
    lines = levels_of(pairing, axis.colour) if axis.colour else [""]
    colours = level_colours(lines)
    scale = 100.0 if outcome.kind == "rate" else outcome.scale
    highest, drawn = 0.0, False
    joined = all(QUANTITY.match(level) for level in xs)
    for k, line in enumerate(lines):
        shift = SPREAD * (k - (len(lines) - 1) / 2)
        points = []
        for place, level in enumerate(xs):
            told = {**context, axis.x: level, axis.colour: line}
            condition = tuple(told.get(n, pairing.factors[n][0]) for n in pairing.factors)
            found = estimates.get(_present(pairing, condition, told))
            if found is None or not math.isfinite(found.interval.value):
                continue
            points.append((place + shift, found.interval))
        if not points:
            continue
        drawn = True
        style: dict[str, Any] = {"color": colours[line], "marker": MARKERS[k % len(MARKERS)]}
        style |= {"linestyle": "-" if joined else "none", "label": line}
        highest = max(highest, _draw_line(axes, points, scale, style))
    if not drawn:
        axes.set_axis_off()
        return False
    labels, unit = axis_labels(xs)
    axes.set_xticks(range(len(xs)), labels)
    axes.set_xlim(-0.5, len(xs) - 0.5)
    axes.set_ylim(0, 104 if outcome.kind == "rate" else 1.08 * highest or 1.0)
    _dress(axes, outcome, f"{axis.x} ({unit})" if unit else axis.x)
    return True


def axis_labels(levels: Sequence[str]) -> tuple[list[str], str]:
    """Levels as they stand below an axis, and the unit that quantities have in common."""
    told = [QUANTITY.match(level) for level in levels]
    units = {found["unit"] for found in told if found}
    if None in told or len(units) != 1 or units == {None}:
        return [short_level(level) for level in levels], ""
    return [found["number"] for found in told if found], str(units.pop())


def _present(pairing: Pairing, condition: Levels, told: Mapping[str, str]) -> Levels:
    """The condition with the one level that a factor has where it was not varied."""
    out = list(condition)
    for k, name in enumerate(pairing.factors):
        if name not in told:
            out[k] = levels_of(pairing, name)[0]
    return tuple(out)


def _draw_line(
    axes: Axes, points: Sequence[tuple[float, Interval]], scale: float, style: Mapping[str, Any]
) -> float:
    """One line with its intervals; returns the highest number drawn."""
    xs = np.array([x for x, _ in points])
    values = np.array([[i.value, i.low, i.high] for _, i in points]) * scale
    axes.plot(xs, values[:, 0], markersize=4.5, linewidth=1.3, **style)
    top = float(values[:, 0].max())
    for x, (_, low, high) in zip(xs, values, strict=True):
        if math.isnan(low):
            continue
        # An end that censoring hides leaves the panel.
        end = high if math.isfinite(high) else 1e9
        axes.plot([x, x], [low, end], color=style["color"], linewidth=2.0, alpha=0.45)
        top = max(top, high if math.isfinite(high) else top)
    return top


def _dress(axes: Axes, outcome: Outcome, x: str) -> None:
    arrow = {"more": " ↑", "less": " ↓", "": ""}[outcome.better]
    axes.set_title(heading(outcome) + arrow, fontsize=9.5, fontweight="bold", loc="left", pad=6)
    axes.set_xlabel(x, fontsize=8.5)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=2, labelcolor=MUTED)
    axes.locator_params(axis="y", nbins=5)


def short_level(level: str) -> str:
    """A level that fits below an axis: long texts are broken at their separators."""
    if len(level) <= 10:
        return level
    return re.sub(r"([,:_ ])", r"\1\n", level, count=2)
