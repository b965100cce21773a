"""What a study says on standard output: a table, what was invalid, what was left out, a digest."""

from __future__ import annotations

from typing import Any

from experiments.report.columns import condition_summary, invalid_line, readable, summary_object
from experiments.runner.episode_rows import Row
from experiments.study.freeze import condition_digests, study_digest
from experiments.study.study import Study
from xr0_sim.metrics.summary import markdown_table


def rows_by_condition(study: Study) -> dict[str, list[Row]]:
    """Rows of every condition that has some, in table order."""
    found: dict[str, list[Row]] = {name: [] for name in study.conditions}
    for row in study.rows:
        found[row["condition"]].append(row)
    return {name: rows for name, rows in found.items() if rows}


def study_text(study: Study) -> str:
    """The table of a study, and what is to be said about it."""
    rows = rows_by_condition(study)
    shown = {name: readable(condition_summary(found)) for name, found in rows.items()}
    columns = list(dict.fromkeys(label for summary in shown.values() for label in summary.figures))
    lines = [markdown_table(shown, columns), ""] if rows else []
    invalid = {name: invalid_line(found) for name, found in rows.items()}
    lines += [f"- {name}: {told}" for name, told in invalid.items() if told]
    wanted = len(study.conditions) * len(study.seeds)
    if not study.complete:
        lines.append(f"- {len(study.rows)} of {wanted} episodes are there")
    for reason, count in excluded_counts(study).items():
        lines.append(f"- {count} conditions excluded: {reason}")
    digest = study_digest(condition_digests(study.design, study.rows))
    return "\n".join([*lines, "", f"results  {study.folder}", f"digest   {digest}"])


def study_object(study: Study) -> dict[str, Any]:
    """JSON form: every condition with its levels and figures."""
    rows = rows_by_condition(study)
    digests = condition_digests(study.design, study.rows)
    wanted = len(study.seeds)
    return {
        "n": min((len(found) for found in rows.values()), default=0),
        "requested": wanted,
        "complete": study.complete,
        "factors": study.factors,
        "conditions": {
            name: {
                "levels": study.conditions[name],
                "digest": digests[name],
                **summary_object(found, wanted),
            }
            for name, found in rows.items()
        },
        "excluded": study.excluded,
        "digest": study_digest(digests),
        "out": str(study.folder),
    }


def excluded_counts(study: Study) -> dict[str, int]:
    """Reason -> combinations that are not run for it."""
    counts: dict[str, int] = {}
    for gone in study.excluded:
        counts[gone["reason"]] = counts.get(gone["reason"], 0) + 1
    return counts
