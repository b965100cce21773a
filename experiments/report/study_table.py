"""Table of a study: a line per condition, an estimate with its interval per outcome."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.study.effects_estimates import Estimate, estimate
from experiments.study.effects_outcomes import Outcome, study_outcomes
from experiments.study.effects_pairing import Pairing
from xr0_sim.atomic import write_bytes
from xr0_sim.errors import ConfigError

if TYPE_CHECKING:
    from pandas import DataFrame

SYMBOLS = {
    "−": "$-$",
    "∞": r"$\infty$",
    "–": "--",
    "³": "$^3$",
    "²": "$^2$",
    "≤": r"$\le$",
    "×": r"$\times$",
}
"""What LaTeX is told in place of a character."""


@dataclass(frozen=True)
class TableLine:
    """One condition.

    Attributes:
        levels: Level of every varied factor.
        n: Valid episodes.
        invalid: Episodes that say nothing; in no figure.
        estimates: By outcome.
    """

    levels: Mapping[str, str]
    n: int
    invalid: int
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True)
class StudyTable:
    """Conditions × outcomes; print it, or export it.

    Attributes:
        factors: Varied factors, the first columns.
        outcomes: What was measured, the other columns.
        lines: One per condition, in the order of the pairing.
    """

    factors: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    lines: tuple[TableLine, ...]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines as text: factors, ``n``, ``invalid``, ``value [low, high]``."""
        header = [*self.factors, "n", "invalid", *(heading(outcome) for outcome in self.outcomes)]
        lines = []
        for line in self.lines:
            told = [estimate_text(o, line.estimates[o.name], line.n) for o in self.outcomes]
            lines.append([*line.levels.values(), str(line.n), str(line.invalid), *told])
        return header, lines

    def __str__(self) -> str:
        header, lines = self.cells()
        widths = [max(len(row[k]) for row in [header, *lines]) for k in range(len(header))]
        out = []
        for row in [header, *lines]:
            left = len(self.factors)
            padded = [
                text.ljust(width) if k < left else text.rjust(width)
                for k, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            out.append("  ".join(padded).rstrip())
        out.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join(out)

    def markdown(self) -> str:
        """The same as a Markdown table."""
        header, lines = self.cells()
        rows = [header, ["---"] * len(header), *lines]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def csv(self) -> str:
        """Numbers in the outcomes' own units: value, low, high, n and censored per outcome."""
        out = io.StringIO()
        parts = ("", "_low", "_high", "_n")
        names = [f"{o.name}{part}" for o in self.outcomes for part in parts]
        names += [f"{o.name}_censored" for o in self.outcomes if o.by_median]
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*self.factors, "n", "invalid", *names])
        for line in self.lines:
            row: list[object] = [*line.levels.values(), line.n, line.invalid]
            for outcome in self.outcomes:
                found = line.estimates[outcome.name].interval
                ends = (found.value, found.low, found.high)
                row += ["" if math.isnan(x) else repr(float(x)) for x in ends] + [found.n]
            row += [line.estimates[o.name].censored for o in self.outcomes if o.by_median]
            writer.writerow(row)
        return out.getvalue()

    def latex(self) -> str:
        """A booktabs ``tabular``, escaped."""
        import pandas as pd

        header, lines = self.cells()
        columns = "l" * len(self.factors) + "r" * (len(header) - len(self.factors))
        # Equal names of two columns are allowed in a table, and escaping is pandas'.
        frame = pd.DataFrame(lines, columns=header)
        text = frame.to_latex(index=False, escape=True, column_format=columns)
        for symbol, command in SYMBOLS.items():
            text = text.replace(symbol, command)
        return text

    def save(self, path: Path | str) -> Path:
        """Writes the table as its name says: ``.csv``, ``.tex``, ``.md`` or ``.txt``."""
        path = Path(path)
        forms = {".csv": self.csv, ".tex": self.latex, ".md": self.markdown, ".txt": self.__str__}
        if path.suffix not in forms:
            raise ConfigError(f"table: expected a name ending in {', '.join(forms)}, got {path}")
        write_bytes(path, forms[path.suffix]().encode())
        return path


def study_table(
    frame: DataFrame,
    factors: Mapping[str, Sequence[str]],
    reference: Mapping[str, str] | None = None,
    *,
    outcomes: Sequence[str] | None = None,
    cluster: str | None = None,
    limit_s: float | None = None,
    sequential: bool = False,
    rng: np.random.Generator | None = None,
) -> StudyTable:
    """Estimates every outcome in every condition; arguments as for `study_effects`."""
    pairing = Pairing(frame, factors, reference, cluster)
    chosen = study_outcomes(frame, outcomes, limit_s)
    lines = []
    for k, condition in enumerate(pairing.conditions):
        told = dict(zip(pairing.factors, condition, strict=True))
        valid = pairing.rows_of(k)["valid"].astype(bool)
        found = {o.name: estimate(pairing, o, k, sequential=sequential, rng=rng) for o in chosen}
        levels = {name: told[name] for name in pairing.varied}
        lines.append(TableLine(levels, int(valid.sum()), int((~valid).sum()), found))
    return StudyTable(tuple(pairing.varied), tuple(chosen), tuple(lines))


def heading(outcome: Outcome) -> str:
    """Label and unit, and what stands in the column where it is no rate or mean."""
    notes = [outcome.unit] if outcome.unit else ["%"] if outcome.kind == "rate" else []
    if outcome.kind == "time":
        notes += [f"≤ {outcome.limit:.3g}"]
    if outcome.by_median:
        notes += ["median"]
    return f"{outcome.label} ({', '.join(notes)})" if notes else outcome.label


def estimate_text(outcome: Outcome, found: Estimate, n: int) -> str:
    """For example ``85.0 [64.0, 94.8]``, with its own n and the censored where there are such."""
    i = found.interval
    notes = ([f"n={i.n}"] if i.n != n else []) + (
        [f"{found.censored} censored"] if found.censored else []
    )
    tail = f" ({', '.join(notes)})" if notes else ""
    if i.n == 0:
        return "–"
    value, low, high = (outcome.shown(x, unit=False) for x in (i.value, i.low, i.high))
    ends = "n too small" if math.isnan(i.low) else f"{low}, {high}"
    return f"{value} [{ends}]{tail}"
