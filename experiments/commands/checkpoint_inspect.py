"""``xr0-sim checkpoint inspect PATH``: parts, sizes and kinds of numbers, and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.inspection import Inspection, PartSummary, inspect_checkpoint
from xr0_sim.model.spec.robot_schema import PREPROCESSOR_FILE, load_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_INCOMPLETE = 1
SHOWN_PROBLEMS = 5
KINDS = ("is missing", "no head", "is not part", "has shape")
"""Words that tell the phrases of `Inspection.problems` apart, in the order they are shown."""
LAYOUTS = {"released": "released layout", "policy": "shipped policy", "file": "single file"}


@dataclass(frozen=True)
class CheckpointInspectConfig:
    """Looks into the headers of weight files; loads nothing.

    The exit status is 0 if everything is there, 1 if tensors are missing, left over or of the wrong
    shape, and 2 if a file is damaged, truncated or no checkpoint.

    Attributes:
        path: Released checkpoint, shipped policy, or a .safetensors file.
        json: Print the findings as one JSON object.
    """

    path: Annotated[str, Positional, arg(metavar="PATH")] = ""
    json: bool = False


def run(config: CheckpointInspectConfig) -> int:
    """Prints the findings; returns the exit status."""
    if not config.path:
        raise ConfigError("PATH: expected a checkpoint directory or a .safetensors file, got none")
    path = Path(config.path)
    found = inspect_checkpoint(path)
    robots = {}
    if (path / PREPROCESSOR_FILE).is_file():
        robots = {n: sorted(schema.slots) for n, schema in load_schemas(path).items()}
    if config.json:
        print(json.dumps(_as_json(found, robots), ensure_ascii=False))
    else:
        print("\n".join(_lines(found, robots)))
    return EXIT_INCOMPLETE if found.problems else 0


def _lines(found: Inspection, robots: dict[str, list[str]]) -> Iterable[str]:
    total = found.total
    files = "1 file" if found.files == 1 else f"{found.files} files"
    yield f"{found.path}: {LAYOUTS[found.layout]}, {total.tensors} tensors in {files}"
    yield ""
    rows = [*found.parts, total]
    width = max(len(row.part) for row in rows)
    yield f"{'part':<{width}}  {'tensors':>7}  {'parameters':>13}  {'size':>9}  numbers"
    yield from (_row(row, width) for row in rows)
    yield ""
    for robot, slots in robots.items():
        yield f"robot type {robot}: {', '.join(slots) or 'no active dimension'}"
    if found.problems is None:
        yield f"missing: unknown, no config.json beside {found.path.name} to compare with"
    elif not found.problems:
        yield "missing: nothing"
    else:
        yield f"{len(found.problems)} mismatches with config.json:"
        for kind in KINDS:
            problems = [problem for problem in found.problems if kind in problem]
            yield from (f"  {problem}" for problem in problems[:SHOWN_PROBLEMS])
            if len(problems) > SHOWN_PROBLEMS:
                yield f"  and {len(problems) - SHOWN_PROBLEMS} more like this"


def _row(row: PartSummary, width: int) -> str:
    megabytes = row.size_bytes / 1e6
    size = f"{megabytes:.1f} MB" if megabytes < 1000.0 else f"{megabytes / 1000.0:.2f} GB"
    kinds = ", ".join(row.dtypes)
    return f"{row.part:<{width}}  {row.tensors:>7}  {row.parameters:>13,}  {size:>9}  {kinds}"


def _as_json(found: Inspection, robots: dict[str, list[str]]) -> dict[str, object]:
    return {
        "path": str(found.path),
        "layout": found.layout,
        "files": found.files,
        "complete": None if found.problems is None else not found.problems,
        "parts": [asdict(part) for part in found.parts],
        "total": asdict(found.total),
        "problems": found.problems,
        "robot_types": robots,
    }
