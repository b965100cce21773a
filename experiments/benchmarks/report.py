"""How a benchmark says what it measured: figure, target, met or missed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from xr0_sim.record.runcard import installed_versions, source_commit, to_json


@dataclass(frozen=True)
class Measure:
    """One measured figure.

    Attributes:
        name: Key in the JSON form.
        label: What people read.
        value: The figure.
        unit: Its unit; empty for ratios.
        low: Smallest of the repeats, or of the cases.
        high: Largest.
        n: How many repeats or cases.
        target: Limit it is held to; None for information only.
        sense: Which side of the target is good; ``reaches`` asks the upper end of the interval for
            no less than the target.
        reason: Where the target comes from; empty where the benchmark's page says it.
    """

    name: str
    label: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int = 1
    target: float | None = None
    sense: Literal["at most", "at least", "reaches"] = "at most"
    reason: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        if self.sense == "at most":
            return self.value <= self.target
        best = self.high if self.sense == "reaches" and self.high is not None else self.value
        return best >= self.target


def report(
    title: str,
    measures: Sequence[Measure],
    *,
    as_json: bool,
    config: Any,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> None:
    """Prints lines for people, or one JSON object.

    Args:
        title: Heading.
        measures: Figures with targets.
        as_json: JSON instead of lines.
        config: Options of the benchmark.
        tables: Further rows by heading.
    """
    tables = tables or {}
    if as_json:
        print(json.dumps(as_object(measures, config, tables), ensure_ascii=False, allow_nan=False))
        return
    print(title)
    width = max((len(measure.label) for measure in measures), default=0)
    for measure in measures:
        print("  " + _line(measure, width))
    for name, rows in tables.items():
        print(f"\n{name}")
        print(_table(rows))


def as_object(
    measures: Sequence[Measure],
    config: Any,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Any:
    """The same as plain JSON: a figure under each name, rows under each heading.

    Args:
        measures: Figures with targets.
        config: Options of the benchmark.
        tables: Further rows by heading.
    """
    found: dict[str, Any] = {
        measure.name: {**asdict(measure), "met": measure.met} for measure in measures
    }
    found |= {name: list(rows) for name, rows in (tables or {}).items()}
    found |= {
        "n": max((measure.n for measure in measures), default=0),
        "config": config,
        "versions": installed_versions(),
        "commit": source_commit(),
    }
    return to_json(found)


def _line(measure: Measure, width: int) -> str:
    unit = f" {measure.unit}" if measure.unit else ""
    text = f"{measure.label:<{width}}  {measure.value:>8.4g}{unit}"
    if measure.low is not None and measure.high is not None:
        text += f"  [{measure.low:.4g}, {measure.high:.4g}] over {measure.n}"
    if measure.target is not None:
        verdict = "met" if measure.met else "MISSED"
        text += f"  {measure.sense} {measure.target:g}{unit}: {verdict}"
    return text


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "  –"
    texts = [
        {
            key: f"{value:.4g}" if isinstance(value, float) else str(value)
            for key, value in r.items()
        }
        for r in rows
    ]
    keys = list(texts[0])
    widths = {key: max(len(key), *(len(row[key]) for row in texts)) for key in keys}
    lines = ["  " + "  ".join(f"{key:<{widths[key]}}" for key in keys).rstrip()]
    lines += ["  " + "  ".join(f"{r[key]:<{widths[key]}}" for key in keys).rstrip() for r in texts]
    return "\n".join(lines)
