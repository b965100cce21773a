"""LIBERO under latency, against the benchmark itself in an environment of its own.

::

    XR0_SIM_LIBERO_PYTHON=DIR/venv/bin/python make libero-check

Says in one line that it was skipped where no such environment is named; ``docs/libero.md`` says how
to make one. Random weights of the released layout act, so success is 0. Shown is that an episode
runs, repeats bit for bit, has a twin that is exact, and that a reaction time can be measured.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# The repository before its tests, which have a folder xr0_sim too.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from released_files import write_libero_checkpoint

from envs.libero.place import missing
from experiments.cli import main

ROOT = Path(__file__).parents[2]
SECONDS = os.environ.get("XR0_SIM_LIBERO_SECONDS", "2")
ENV = "libero:suite=libero_goal,task=1"
COMMON = ["--env", ENV, "--episodes", "1", "--seed", "3", "--latency", "80ms"]
REACH = [
    "--plugin",
    str(ROOT / "docs" / "examples" / "libero_reach.py"),
    "--policy",
    "libero_reach",
]


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Rows of a run folder."""
    lines = (run / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def rollout(run: Path, *words: str) -> dict[str, Any]:
    """One episode by the command line; its row."""
    begun = time.monotonic()
    assert main(["rollout", *COMMON, *words, "--out", str(run)]) == 0
    (row,) = rows_of(run)
    print(f"{run.name}: {row['outcome']}, {time.monotonic() - begun:.0f} s", flush=True)
    return row


def check() -> int:
    """Runs everything; the exit status."""
    problem = missing()
    if problem:
        print(f"libero check skipped: {problem}")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.environ.get("XR0_SIM_LIBERO_OUT", name))
        weights = folder / "weights"
        write_libero_checkpoint(weights)
        xr0 = ["--policy", "xr0", "--checkpoint", str(weights), "--max-seconds", SECONDS]
        xr0 += ["--strategy", "naive_async:execution_horizon=5", "--event", "object_shift@0.5s"]
        branched = rollout(folder / "xr0_branched", *xr0, "--no-video")
        filmed = rollout(folder / "xr0_filmed", *xr0)
        assert branched["outcome"] == filmed["outcome"] == "failure", branched["invalid_reason"]
        # A filmed episode is played from its beginning, the other goes on from its twin.
        for digest in ("digest", "twin_digest"):
            assert branched[digest] == filmed[digest], digest
        assert branched["events"][0]["parameters"]["moved"] == "akita_black_bowl_1"
        assert (folder / "xr0_filmed" / "videos" / filmed["video"]).stat().st_size > 10_000
        reach = [*REACH, "--max-seconds", "3", "--no-video", "--event", "object_shift@1s"]
        reach += ["--strategy", "naive_async:execution_horizon=5"]
        row = rollout(folder / "reach", *reach)
        figures = row["figures"]
        assert figures["reaction_s"] is not None, figures
        assert figures["reaction_s"] >= figures["reaction_bound_s"] > 0.1
        print(
            f"libero check passed: reaction {figures['reaction_s']:.2f} s, bound "
            f"{figures['reaction_bound_s']:.2f} s; xr0 {filmed['digest'][:16]}, twin "
            f"{filmed['twin_digest'][:16]}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(check())
