"""``xr0-sim bench card``: every check that needs a graphics card, in one go and in bounded time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import installed_versions, source_commit, to_json

CODE = Path(__file__).resolve().parents[2]
BUDGET_S = 360.0
"""All checks together; what does not fit is told as not run."""


@dataclass(frozen=True)
class BenchCardConfig:
    """Runs the checks that need a graphics card, one after the other, and prints one JSON object.

    Attributes:
        device: cuda or cuda:N; cpu tries the script itself, with a small preset.
        preset: Model size of the inference check.
        repeats: How often an inference is timed.
        batches: Observations per inference, with commas.
        budget_s: Wall time of all checks together [s].
        no_compile: Leave compiled ways out.
    """

    device: str = "cuda"
    preset: str = "xr0"
    repeats: int = 30
    batches: str = "1,16"
    budget_s: float = BUDGET_S
    no_compile: bool = False


@dataclass(frozen=True)
class Check:
    """One check: words for Python, and the share of the budget it may take."""

    name: str
    words: Sequence[str]
    share: float


def run(config: BenchCardConfig) -> int:
    """Runs all checks; exit status 1 if one failed or found no time."""
    from xr0_sim.model.compute.devices import choose_device

    if not 1.0 <= config.budget_s <= 3600.0:
        raise ConfigError(f"--budget-s: expected 1 .. 3600, got {config.budget_s:g}")
    device = str(choose_device(config.device))
    end = time.monotonic() + config.budget_s
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for check in checks(config, device, folder):
            limit = min(check.share * config.budget_s, end - time.monotonic())
            found[check.name] = outcome(check.words, limit)
            print(f"{check.name}: {found[check.name]['status']}", file=sys.stderr, flush=True)
    whole = {
        "device": device,
        "config": to_json(config),
        "checks": found,
        "versions": installed_versions(),
        "commit": source_commit(),
    }
    print(json.dumps(whole, ensure_ascii=False))
    return 0 if all(one["status"] == "passed" for one in found.values()) else 1


def checks(config: BenchCardConfig, device: str, folder: str) -> list[Check]:
    """What runs: the inference table, an episode in graphs, tests of a card.

    Args:
        config: Options.
        device: Where.
        folder: For the episode's files.
    """
    command = ("-m", "experiments.cli")
    inference = [
        *("bench", "policy", "--preset", config.preset, "--device", device, "--json"),
        *("--batches", config.batches, "--repeats", str(config.repeats)),
        *(["--no-compile"] if config.no_compile else []),
    ]
    episode = ("rollout", "--policy", "xr0", "--world", "0.1", "--device", device, "--graph")
    short = (
        *("--episodes", "1", "--max-seconds", "2", "--event", "none", "--no-video", "--json"),
        *("--out", str(Path(folder) / "episode")),
    )
    tests = [Check("tests", ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:xdist", "tests"), 0.3)]
    return [
        Check("inference", (*command, *inference), 0.6),
        Check("episode", (*command, *episode, *short), 0.2),
        *(tests if (CODE / "tests").is_dir() and device != "cpu" else []),
    ]


def outcome(words: Sequence[str], limit_s: float) -> dict[str, Any]:
    """How a check went: its status, its wall time [s], and the JSON it printed or its last words.

    Args:
        words: Arguments of the interpreter.
        limit_s: After which it is ended [s].
    """
    if limit_s <= 0.0:
        return {"status": "not run, no time left"}
    env = {**os.environ, "PYTHONPATH": str(CODE)}
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            cwd=CODE,
            env=env,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return {"status": f"ended after {limit_s:.0f} s"}
    wall_s = round(time.monotonic() - start, 1)
    status = "passed" if done.returncode == 0 else f"failed with status {done.returncode}"
    lines = done.stdout.strip().splitlines() or [""]
    try:
        said = json.loads(lines[-1])
    except ValueError:
        said = [*lines[-3:], *done.stderr.strip().splitlines()[-3:]]
    return {"status": status, "wall_s": wall_s, "said": said}
