"""``xr0-sim bench start``: how long a command takes before its first tick, and a worker its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure, report
from xr0_sim.errors import ConfigError, Xr0SimError, unknown_name

CODE = Path(__file__).resolve().parents[2]
TARGET_OVER_BARE = 13.0
"""2.5 s over the 0.19 s of a bare import, the goal on a quiet machine; as a ratio it holds on a
loaded one."""
LONGEST_S = 600.0
BARE = "bare import"
OF_A_CHECKOUT = ("expert", "xr0", "worker of xr0")

WORKER = """
from experiments.runner.episode_run import loaded_policy
from policies.xr0.checkpoints import Weights, default_checkpoint
checkpoint = default_checkpoint("block_dismantling", "0.1")
loaded_policy("xr0", Weights(checkpoint=checkpoint, head="sync", precision="float32"))
"""
"""What every worker process does before its first episode."""


@dataclass(frozen=True)
class BenchStartConfig:
    """Times whole commands of six ticks, taking turns with the bare import of what they stand on.

    Attributes:
        repeats: How often everything runs.
        against: Folder of another checkout, whose commands take turns with ours.
        world: World of the episodes.
        ways: What is timed beside the bare import, with commas; default: everything.
        json: Print one JSON object.
    """

    repeats: int = 7
    against: str | None = None
    world: str = "0.1"
    ways: str = ""
    json: bool = False


def run(config: BenchStartConfig) -> int:
    """Measures and prints; exit status 0 also if the target is missed."""
    if config.repeats < 2:
        raise ConfigError(f"--repeats: expected at least 2, got {config.repeats}")
    other = None if config.against is None else Path(config.against).resolve()
    if other is not None and not (other / "experiments" / "cli.py").is_file():
        raise ConfigError(f"--against: expected the folder of a checkout, got {other}")
    with tempfile.TemporaryDirectory() as folder:
        ways = _chosen(_ways(config.world, CODE, Path(folder) / "ours"), config.ways)
        if other is not None:
            theirs = _ways(config.world, other, Path(folder) / "theirs")
            ways |= {f"{name}, other": theirs[name] for name in OF_A_CHECKOUT if name in ways}
        times = {name: np.empty((config.repeats, 2)) for name in ways}
        for repeat in range(config.repeats):
            for name, (words, home) in ways.items():
                times[name][repeat] = time_command(words, home)
    report(
        "a command of six ticks, CPU time of its process",
        measures_of(times),
        as_json=config.json,
        config=config,
        tables={"start": _table(times)},
    )
    return 0


Ways = dict[str, tuple[Sequence[str], Path]]
"""Name -> words for Python and the folder whose code runs."""


def _chosen(ways: Ways, names: str) -> Ways:
    """The bare import and what is named, with commas; all where nothing is."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(ways)
    for name in wanted:
        if name not in ways:
            raise unknown_name("way of a start", name, ways)
    return {name: way for name, way in ways.items() if name in (BARE, *wanted)}


def _ways(world: str, home: Path, out: Path) -> Ways:
    episode = ("-m", "experiments.cli", "rollout", "--episodes", "1", "--max-seconds", "0.2")
    options = ("--no-video", "--event", "none", "--world", world)

    def policy(name: str) -> Sequence[str]:
        return (*episode, *options, "--policy", name, "--video", str(out))

    return {
        BARE: (("-c", "import mujoco, numpy"), home),
        "import torch": (("-c", "import torch"), home),
        "expert": (policy("oracle"), home),
        "xr0": (policy("xr0"), home),
        "worker of xr0": (("-c", WORKER), home),
    }


def time_command(words: Sequence[str], home: Path) -> NDArray[np.float64]:
    """CPU and wall time of a Python process to its end [s].

    Args:
        words: Arguments of the interpreter.
        home: Folder whose code it runs.
    """
    env = {**os.environ, "PYTHONPATH": str(home)}
    before = _children_s()
    start = time.perf_counter()
    # The folder a command runs in comes before every other on its path.
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=home,
        env=env,
        timeout=LONGEST_S,
    )
    wall = time.perf_counter() - start
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise Xr0SimError(f"{' '.join(words[:4])}: expected it to run, got {last}")
    return np.array([_children_s() - before, wall])


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measures_of(times: dict[str, NDArray[np.float64]]) -> list[Measure]:
    """Every command over the bare import, xr0 over its parts, and over the other checkout."""
    pairs = [(name, BARE) for name in times if name != BARE]
    parts = ("import torch", "expert")
    pairs += [("xr0", name) for name in parts if name in times and "xr0" in times]
    pairs += [(f"{name}, other", name) for name in times if f"{name}, other" in times]
    return [
        ratio_measure(
            f"{top} / {bottom}",
            times[top][:, 0] / times[bottom][:, 0],
            TARGET_OVER_BARE if (top, bottom) == ("xr0", BARE) else None,
        )
        for top, bottom in pairs
    ]


def ratio_measure(label: str, ratios: NDArray[np.float64], target: float | None = None) -> Measure:
    """Median of paired ratios with its bootstrap interval of 95 %."""
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    name = label.replace(" / ", "_over_").replace(", ", "_").replace(" ", "_")
    return Measure(
        name,
        label,
        float(np.median(ratios)),
        low=float(low),
        high=float(high),
        n=len(ratios),
        target=target,
    )


def _table(times: dict[str, NDArray[np.float64]]) -> list[dict[str, Any]]:
    return [
        {
            "command": name,
            "CPU s": float(np.median(measured[:, 0])),
            "wall s": float(np.median(measured[:, 1])),
            "least CPU s": float(measured[:, 0].min()),
        }
        for name, measured in times.items()
    ]
