"""``xr0-sim realtime``: episodes against the wall clock, and their exact repetition without it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.tasks import check_on_stage
from experiments.benchmarks.report import Measure, report
from experiments.options.condition_options import ConditionOptions
from experiments.realtime.inference import Inference, ProcessInference, ThreadInference
from experiments.realtime.late_latencies import write_trace
from experiments.realtime.loop import Punctuality, WallRun, run_wall_episode
from experiments.realtime.mailbox import Layout
from experiments.realtime.resources import Resources, gained, resources_of
from experiments.runner.condition import Condition
from experiments.runner.episode_rows import log_path
from experiments.runner.episode_run import EpisodeSetup
from experiments.runner.result_folder import fresh_folder
from experiments.runner.runner import renderer_for
from xr0_sim.atomic import write_json
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError
from xr0_sim.record import TickLog, write_ticklog
from xr0_sim.record.runcard import run_card, to_json
from xr0_sim.runtime.latency.traces import Trace

LATE_P99_MS = 5.0
"""Limit of the 99th percentile of lateness on two cores; chosen."""


@dataclass(frozen=True)
class RealtimeConfig(ConditionOptions):
    """Runs a policy in real time: 30 ticks a second, inference beside the control loop.

    The simulator stands for the robot. Latencies are measured, not drawn: --latency is not asked.
    Every episode is then repeated in virtual time with its measured latencies, which must give the
    same actions.

    Attributes:
        estimator: What the controller believes about the delay: last (default), fixed,
            window_max, p95, ..., but not oracle.
        inference: process (its own, by shared memory), or thread (of the control process).
        seed: Seed of the first episode; the others follow.
        seconds: Episodes are begun until so much time has passed [s].
        no_replay: Do not repeat episodes in virtual time.
        out: Folder of the logs; default: a new one below out/.
        json: Print one JSON object.
    """

    estimator: str = "last"
    event: str = "none"
    inference: Literal["process", "thread"] = "process"
    seed: int = 0
    seconds: float = 60.0
    no_replay: bool = False
    out: str | None = None
    json: bool = False


def run(config: RealtimeConfig) -> int:
    """Runs, prints; 1 if a repetition came out otherwise."""
    if not 0 < config.seconds <= 86400:
        raise ConfigError(f"--seconds: expected 0 .. 86400, got {config.seconds}")
    check_on_stage(config.task, "realtime")
    condition = config.condition()
    renderer = renderer_for(condition, False)
    folder = Path(config.out) if config.out else fresh_folder("out", "realtime")
    if (folder / "run.json").exists():
        raise ConfigError(f"--out: {folder} holds a run already; name another folder")
    setup = EpisodeSetup(condition)
    looks, size = setup.policy.looks, setup.env.image_size
    rows = setup.policy.bind(setup.env).horizon  # says what does not fit this environment
    slots = condition.strategy.max_in_flight + 1
    inference = _inference(config, condition, Layout(slots, CAMERAS, size, rows))
    kept, runs = Punctuality(), list[Done]()
    card = run_card(condition, seeds=[config.seed], renderer=renderer)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {**card, "realtime": to_json(config)})
    held = list[Resources | None]()
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < config.seconds:
            seed = config.seed + len(runs)
            done = run_wall_episode(setup.plant, inference, condition, seed, looks, kept)
            runs.append(_keep(folder, done))
            del done  # its log is written: only figures stay, so that memory does not grow
            held.append(resources_of(os.getpid(), inference.process))
    finally:
        inference.close()
    same = [
        _repeats(condition, done, log_path(folder, done.seed).with_suffix(".csv"))
        for done in runs
        if not config.no_replay
    ]
    measures = _measures(kept, runs, same, held, condition.control_hz)
    title = (
        f"{condition.label.rsplit(' | ', 1)[0]}, in real time, inference in a {config.inference}"
    )
    report(title, measures, as_json=config.json, config=config)
    return 0 if all(same) else 1


def _inference(config: RealtimeConfig, condition: Condition, layout: Layout) -> Inference:
    if config.inference == "thread":
        return ThreadInference(condition.policy, condition.weights)
    return ProcessInference(condition.policy, condition.weights, layout)


@dataclass(frozen=True)
class Done:
    """What is kept of an episode whose log is written.

    Attributes:
        seed: Its seed.
        success: Whether it was solved.
        ticks: Its length.
        wall_s: From the first to behind the last tick [s].
        latency_s: Of every inference that was begun [s], nan if it had not ended.
        digest: Of its tick log.
    """

    seed: int
    success: bool
    ticks: int
    wall_s: float
    latency_s: NDArray[np.float64]
    digest: str


def _keep(folder: Path, done: WallRun) -> Done:
    """Writes an episode when it is over: an interruption loses the one under way, no other."""
    path = log_path(folder, done.result.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ticklog(done.table, path)
    write_trace(done.table, path.with_suffix(".csv"))
    table = done.table
    taken = np.array(table["latency_s"][table["started"] >= 0])
    result = done.result
    return Done(result.seed, result.success, len(table), done.wall_s, taken, table.digest())


def _repeats(condition: Condition, done: Done, trace: Path) -> bool:
    """Whether virtual time with the measured latencies gives the same log."""
    if not len(done.latency_s):
        return True
    setup = EpisodeSetup(replace(condition, latency=Trace(str(trace)), max_ticks=done.ticks))
    log = TickLog()
    setup.run(done.seed, [log])
    return log.table().digest() == done.digest


def _measures(
    kept: Punctuality,
    runs: list[Done],
    same: list[bool],
    held: list[Resources | None],
    control_hz: int,
) -> list[Measure]:
    late = 1e3 * kept.lateness()
    work = 1e3 * np.array(kept.work_s)
    taken = np.concatenate([done.latency_s for done in runs])
    ticks = len(late)
    wall_s = sum(done.wall_s for done in runs)

    def spread(name: str, label: str, values: Any, target: float | None = None) -> list[Measure]:
        p50, p99, most = np.quantile(values, [0.5, 0.99, 1.0])
        return [
            Measure(f"{name}_p50", f"{label}, median", p50, "ms", n=len(values)),
            Measure(f"{name}_p99", f"{label}, 99 %", p99, "ms", n=len(values), target=target),
            Measure(f"{name}_max", f"{label}, at most", most, "ms", n=len(values)),
        ]

    found = spread("lateness", "start of a tick behind its deadline", late, LATE_P99_MS)
    found += spread("work", "work of a tick: capture, decision, physics", work)
    found += spread("latency", "inference, from its capture tick", 1e3 * taken)
    found += [
        Measure("missed", "ticks that began a tick late or more", kept.missed, n=ticks, target=0),
        Measure(
            "rate",
            "control rate",
            ticks / wall_s,
            "Hz",
            n=ticks,
            target=0.999 * control_hz,
            sense="at least",
        ),
        Measure("episodes", "episodes", len(runs), n=len(runs)),
        Measure("solved", "of them solved", sum(done.success for done in runs), n=len(runs)),
    ]
    found += gained(held)
    if same:
        repeated = Measure(
            "repeated",
            "episodes that virtual time repeats bit for bit",
            sum(same),
            n=len(same),
            target=len(same),
            sense="at least",
        )
        found.append(repeated)
    return found
