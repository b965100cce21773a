"""Differences between conditions over shared seeds: far tighter than comparing intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.report.columns import table_columns
from experiments.runner.episode_rows import Row, is_valid
from xr0_sim.metrics.statistics import Interval, paired_difference, paired_rate_difference
from xr0_sim.metrics.summary import figure_bounds

Differences = dict[str, dict[str, dict[str, Any]]]
"""Condition -> figure -> value, low, high, n; JSON values."""


def paired_to_first(rows: Mapping[str, Sequence[Row]]) -> Differences:
    """Every condition against the first one of the same latency, headline figures only.

    Args:
        rows: Condition name ``POSITION @ LATENCY`` -> episode rows.
    """
    out: Differences = {}
    references: dict[str, str] = {}
    for name in rows:
        latency = name.rpartition(" @ ")[2]
        reference = references.setdefault(latency, name)
        if reference != name:
            out[name] = _differences(rows[name], rows[reference])
    return out


def paired_table(differences: Differences) -> str:
    """Markdown table of `paired_to_first`; empty without conditions."""
    if not differences:
        return ""
    labels = [line.label for line in table_columns()]
    shown = [label for label in labels if any(label in found for found in differences.values())]
    lines = [
        "Paired differences to the first condition of the same latency, equal seeds:",
        "",
        f"| condition | {' | '.join(shown)} |",
        "|" + "---|" * (len(shown) + 1),
    ]
    for name, found in differences.items():
        texts = [_text(label, found[label]) if label in found else "–" for label in shown]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _differences(first: Sequence[Row], second: Sequence[Row]) -> dict[str, dict[str, Any]]:
    by_seed = {row["seed"]: row["figures"] for row in second if is_valid(row)}
    pairs = [
        (row["figures"], by_seed[row["seed"]])
        for row in first
        if row["seed"] in by_seed and is_valid(row)
    ]
    out = {}
    for line in table_columns():
        values = [(a.get(line.figure), b.get(line.figure)) for a, b in pairs]
        known = [(a, b) for a, b in values if a is not None and b is not None]
        if not known:
            continue
        a, b = zip(*known, strict=True)
        if isinstance(a[0], bool):
            found = paired_rate_difference(a, b)
        else:
            low, high = (line.scale * bound for bound in figure_bounds(line.figure))
            first, second = ([x * line.scale for x in side] for side in (a, b))
            found = paired_difference(first, second, bounds=(low, high))
        out[line.label] = vars(found)
    return out


def _text(label: str, found: Mapping[str, Any]) -> str:
    interval = Interval(**found)
    scale, unit = (100.0, " %") if label == "success" else (1.0, "")
    value, low, high = (scale * x for x in (interval.value, interval.low, interval.high))
    if math.isnan(low):
        return f"{value:+.3g}{unit} [n too small]"
    return f"{value:+.3g}{unit} [{low:+.3g}, {high:+.3g}]"
