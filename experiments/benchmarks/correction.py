"""``xr0-sim bench correction``: what a correction takes, and its network's share of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envs.tasks import make_env
from envs.world import world_name
from experiments.benchmarks.report import Measure, report
from experiments.options.task_options import TaskOptions
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.correction import CorrectionRequest
from xr0_sim.runtime.strategies.corrected import HEAD_S
from xr0_sim.types import no_prefix

if TYPE_CHECKING:
    from pathlib import Path

    from xr0_sim.model.correction.head import CorrectionHead
    from xr0_sim.types import Observation

SLOW = 0.99
"""Quantile that has to keep the stated time."""


@dataclass(frozen=True)
class BenchCorrectionConfig(TaskOptions):
    """Times corrections by the wall clock, on one thread; pictures and inferences excluded.

    A policy plays one episode without latency; in each of its ticks the action that is due is
    corrected. The network's own time within the same corrections is what they cannot go below.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        checkpoint: Policy with a correction head: shipped name or path; default: the one for the
            task.
        head: Head whose chunks are corrected.
        execution_horizon: Executed rows of a chunk.
        ticks: Most ticks of the episode.
        repeats: Corrections of each tick; the least counts.
        seed: Seed of the episode.
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    checkpoint: str | None = None
    head: str = "sync"
    execution_horizon: int = 8
    ticks: int = 150
    repeats: int = 3
    seed: int = 800
    json: bool = False


def run(config: BenchCorrectionConfig) -> int:
    """Measures and prints; exit status 0 also if the target is missed."""
    if min(config.ticks, config.repeats) < 1 or not 1 <= config.execution_horizon <= CONTROL_HZ:
        raise ConfigError(
            "bench correction: expected --ticks and --repeats >= 1 and --execution-horizon 1 .. "
            f"{CONTROL_HZ}, got {config.ticks}, {config.repeats} and {config.execution_horizon}"
        )
    import torch

    from policies.xr0.checkpoints import default_checkpoint, find_checkpoint
    from policies.xr0.corrector import Corrector
    from xr0_sim.model.correction.files import load_correction

    torch.set_num_threads(1)
    name = config.checkpoint or default_checkpoint(config.task, world_name(config.env_kwargs()))
    path = find_checkpoint(name)
    head = load_correction(path)
    corrector, watch = Corrector(head, CAMERAS), NetworkWatch(head)
    times = []
    for request in requests(config, path):
        told = []
        for _ in range(config.repeats):
            start = time.perf_counter()
            corrector.correct(request)
            told.append((time.perf_counter() - start, watch.spent))
        times.append(min(told))
    whole, network = 1e3 * np.array(times).T
    slow = float(np.quantile(whole, SLOW))
    measures = [
        Measure(
            *("slow_ms", f"a correction, {SLOW:.0%}", slow, "ms"),
            low=float(whole.min()),
            high=float(whole.max()),
            n=len(whole),
            target=1e3 * HEAD_S,
            reason="head_s of the strategy",
        ),
        Measure("median_ms", "a correction, median", float(np.median(whole)), "ms", n=len(whole)),
        Measure("ratio", "over its own network, median", float(np.median(whole / network))),
        Measure("tick_share", f"share of a tick, {SLOW:.0%}", slow * CONTROL_HZ / 1e3),
    ]
    title = f"corrections of {config.task}, {name}, one thread, wall clock"
    report(title, measures, as_json=config.json, config=config)
    return 0


class NetworkWatch:
    """Times the network within whatever calls it.

    Attributes:
        spent: Wall-clock time of its last call [s].
    """

    def __init__(self, head: CorrectionHead) -> None:
        self.spent, self._start = 0.0, 0.0
        head.register_forward_pre_hook(self._begin)
        head.register_forward_hook(self._end)

    def _begin(self, *_: object) -> None:
        self._start = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.spent = time.perf_counter() - self._start


def requests(config: BenchCorrectionConfig, checkpoint: Path) -> list[CorrectionRequest]:
    """One for every tick of the episode."""
    from policies.xr0.loading import load_chunk_model

    model = load_chunk_model(checkpoint, config.head, task=config.task)
    env = make_env(config.task, image_size=model.image_size, **config.env_kwargs())
    found: list[CorrectionRequest] = []
    try:
        env.reset_scene(config.seed)
        model.reset(config.seed)
        captured: Observation = env.observe()
        done = False
        while not done and len(found) < config.ticks:
            seen, age = env.observe(), len(found) % config.execution_horizon
            if age == 0:
                captured, rows = (
                    seen,
                    model.infer(seen, no_prefix(), (config.seed, len(found))).actions,
                )
            found.append(CorrectionRequest(seen, captured, rows[age], rows, age, age))
            _, done, _, _ = env.advance(rows[age])
    finally:
        env.close()
    return found
