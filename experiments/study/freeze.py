"""What a study leaves behind when all its rows are there: table, validity, manifest."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.runner.episode_rows import Row, is_valid
from experiments.runner.run_folder import joint_digest
from experiments.study.design import Design
from experiments.study.folder import MANIFEST, TABLE, VALIDITY
from experiments.study.schema import SCHEMA_VERSION, write_table
from xr0_sim.atomic import replacing, write_json

MANIFEST_FORMAT = 1


def freeze(
    folder: Path,
    design: Design,
    rows: Sequence[Row],
    factors: Mapping[str, Mapping[str, str]],
    card: Mapping[str, Any],
) -> None:
    """Writes table, validity and manifest; every file appears complete or not at all.

    Args:
        folder: Folder of the study.
        design: Its design.
        rows: All rows, by condition and seed.
        factors: Factor -> name of a condition -> level.
        card: Its card.
    """
    digests = condition_digests(design, rows)
    digest = study_digest(digests)
    meta = {"factors": list(factors), "digest": digest, "commit": card["commit"]}
    write_table(rows, factors, folder / TABLE, meta)
    _write_validity(rows, folder / VALIDITY)
    manifest = {
        "format": MANIFEST_FORMAT,
        "schema": SCHEMA_VERSION,
        "rows": len(rows),
        "digest": digest,
        "table_sha256": hashlib.sha256((folder / TABLE).read_bytes()).hexdigest(),
        "conditions": digests,
        "seeds": list(design.seeds),
        **{name: card[name] for name in ("commit", "versions", "weights", "plugins")},
    }
    write_json(folder / MANIFEST, manifest)


def condition_digests(design: Design, rows: Sequence[Row]) -> dict[str, str]:
    """Joint digest of the rows of every condition."""
    return {
        name: joint_digest(row for row in rows if row["condition"] == name)
        for name in design.names()
    }


def study_digest(digests: Mapping[str, str]) -> str:
    """One digest of all conditions."""
    return hashlib.sha256(json.dumps(dict(digests)).encode()).hexdigest()


def _write_validity(rows: Sequence[Row], path: Path) -> None:
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["condition", "seed", "reason"])
        for row in rows:
            if not is_valid(row):
                table.writerow([row["condition"], row["seed"], row.get("invalid_reason") or ""])
