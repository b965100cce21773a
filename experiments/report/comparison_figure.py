"""The comparison picture: figures per switch position, and what happened around one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envs.tasks import task_spec
from experiments.report.comparison_panels import Comparison, draw_curves, draw_points
from experiments.report.event_strips import Strip, draw_strips, load_strip
from experiments.report.style import (
    MUTED,
    POLICY_WORDS,
    position_colours,
    position_words,
    text_style,
)
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import Row, log_path
from xr0_sim.record.runcard import installed_versions, source_commit
from xr0_sim.view.timeline_figure import save_timeline_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_IN = 10.0
DPI = 160
EDGE = 0.012
"""Left edge of headings, in figure shares."""

HEAD_IN, FOOT_IN = 0.66, 0.32
PANEL_HEAD_IN, PANEL_FOOT_IN = 0.26, 0.42
LANE_IN, STRIP_IN, STRIPS_HEAD_IN, STRIPS_FOOT_IN = 0.40, 0.94, 0.56, 0.38
CURVES_IN, LEGEND_IN = 1.75, 0.28


def draw_comparison(
    conditions: Mapping[str, Condition],
    rows: Mapping[str, Sequence[Row]],
    folders: Mapping[str, Path],
    path: Path,
) -> None:
    """Draws and writes the picture.

    Args:
        conditions: Condition name ``POSITION @ LATENCY`` -> condition.
        rows: Condition name -> episode rows.
        folders: Condition name -> run folder with its tick logs.
        path: Where the picture goes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    positions = list(dict.fromkeys(name.rpartition(" @ ")[0] for name in rows))
    condition = next(iter(conditions.values()))
    comparison = Comparison(conditions, rows, position_colours(positions))
    strips = _strips(comparison, folders)
    single = len(comparison.latencies) == 1
    body_in = LANE_IN * len(positions) if single else CURVES_IN + LEGEND_IN
    panels_in = PANEL_HEAD_IN + body_in + PANEL_FOOT_IN
    strips_in = STRIPS_HEAD_IN + STRIP_IN * len(strips) + STRIPS_FOOT_IN if strips else 0.0
    height = HEAD_IN + panels_in + strips_in + FOOT_IN
    figure = Figure(figsize=(WIDTH_IN, height), facecolor="white")
    FigureCanvasAgg(figure)
    with text_style():
        _title(figure, comparison, height)
        top = 1 - (HEAD_IN + PANEL_HEAD_IN + (0.0 if single else LEGEND_IN)) / height
        bottom = 1 - (HEAD_IN + panels_in - PANEL_FOOT_IN) / height
        (draw_points if single else draw_curves)(figure, comparison, bottom, top)
        if strips:
            draw_strips(
                figure,
                [(position_words(p), comparison.colours[p], s) for p, s in strips.items()],
                bottom=(FOOT_IN + STRIPS_FOOT_IN) / height,
                top=(FOOT_IN + STRIPS_FOOT_IN + STRIP_IN * len(strips)) / height,
                note=_strip_note(comparison, strips),
                event=condition.events[0].kind.replace("_", " "),
            )
        _caption(figure, comparison, height)
        save_timeline_figure(figure, path, dpi=DPI)


def _title(figure: Figure, comparison: Comparison, height: float) -> None:
    condition = next(iter(comparison.conditions.values()))
    n = min(len(found) for found in comparison.rows.values())
    events = ", ".join(event.kind.replace("_", " ") for event in condition.events)
    latencies, positions = comparison.latencies, comparison.positions
    scenes = "The same scene" if n == 1 else f"The same {n} scenes"
    if len(latencies) == 1:
        what = f"{len(positions)} ways to live with {condition.latency.label} of inference"
    else:
        what = f"{len(positions)} switch positions, {len(latencies)} latencies"
    policy = POLICY_WORDS.get(condition.policy, condition.policy)
    disturbed = f"In mid-motion: {events}." if events else "Undisturbed."
    name = condition.env.replace("_", " ").capitalize()
    task = f"{name}, {task_spec(condition.env).describe(condition.env_kwargs)}."
    figure.text(
        EDGE, 1 - 0.22 / height, f"{scenes}, {what}", fontsize=13, fontweight="bold", va="center"
    )
    figure.text(
        EDGE,
        1 - 0.46 / height,
        f"{task} Policy: {policy}. {disturbed}",
        fontsize=9,
        color=MUTED,
        va="center",
    )


def _strips(comparison: Comparison, folders: Mapping[str, Path]) -> dict[str, Strip]:
    """Tick logs of the first seed whose event fired in every condition of the last latency."""
    latency = comparison.latencies[-1]
    names = {
        position: name
        for position in comparison.positions
        if (name := f"{position} @ {latency}") in comparison.rows
    }
    fired = {
        position: {
            row["seed"]: row["events"][0]["tick"] for row in comparison.rows[name] if row["events"]
        }
        for position, name in names.items()
    }
    shared = sorted(set.intersection(*(set(ticks) for ticks in fired.values())))
    if not shared:
        return {}
    seed = shared[0]
    return {
        position: load_strip(
            log_path(folders[name], seed),
            log_path(folders[name], seed, twin=True),
            event_tick=fired[position][seed],
            seed=seed,
        )
        for position, name in names.items()
    }


def _strip_note(comparison: Comparison, strips: Mapping[str, Strip]) -> str:
    condition = comparison.conditions[f"{comparison.positions[0]} @ {comparison.latencies[-1]}"]
    seed = next(iter(strips.values())).seed
    event = condition.events[0].kind.replace("_", " ")
    return f"Seed {seed} around the {event}, {condition.latency.label}"


def _caption(figure: Figure, comparison: Comparison, height: float) -> None:
    counts = sorted({len(found) for found in comparison.rows.values()})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]}–{counts[-1]}"
    figure.text(
        EDGE,
        0.15 / height,
        f"{n} paired seeds per condition. Points are means, bars 95 % intervals (success: Wilson, "
        f"others: t). MuJoCo {installed_versions()['mujoco']}, commit {source_commit()}.",
        fontsize=7.5,
        color=MUTED,
        va="center",
    )
