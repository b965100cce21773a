"""``xr0-sim realtime``: episodes against the wall clock, and their exact repetition without it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from envs.tasks import check_on_stage
from experiments.benchmarks.report import Measure, report
from experiments.options.condition_options import ConditionOptions
from experiments.realtime.inference import Inference, ProcessInference, ThreadInference
from experiments.realtime.late_latencies import write_trace
from experiments.realtime.loop import Punctuality, WallRun, run_wall_episode
from experiments.realtime.mailbox import Layout
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
ROWS = 30
"""Rows of a chunk of the policies that ship."""


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
    inference = _inference(config, condition, size)
    kept, runs = Punctuality(), list[WallRun]()
    card = run_card(condition, seeds=[config.seed], renderer=renderer)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {**card, "realtime": to_json(config)})
    before = after = _resources()
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < config.seconds:
            seed = config.seed + len(runs)
            runs.append(run_wall_episode(setup.plant, inference, condition, seed, looks, kept))
            _keep(runs[-1], _log(folder, runs[-1]))
            after = _resources()
    finally:
        inference.close()
    same = [
        _repeats(condition, done, _log(folder, done).with_suffix(".csv"))
        for done in runs
        if not config.no_replay
    ]
    measures = _measures(kept, runs, same, before, after, condition.control_hz)
    title = (
        f"{condition.label.rsplit(' | ', 1)[0]}, in real time, inference in a {config.inference}"
    )
    report(title, measures, as_json=config.json, config=config)
    return 0 if all(same) else 1


def _inference(config: RealtimeConfig, condition: Condition, image_size: int) -> Inference:
    if config.inference == "thread":
        return ThreadInference(condition.policy, condition.weights)
    layout = Layout(condition.strategy.max_in_flight + 1, CAMERAS, image_size, ROWS)
    return ProcessInference(condition.policy, condition.weights, layout)


def _log(folder: Path, done: WallRun) -> Path:
    return log_path(folder, done.result.seed)


def _keep(done: WallRun, path: Path) -> None:
    """Writes an episode when it is over: an interruption loses the one under way, no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ticklog(done.table, path)
    write_trace(done.table, path.with_suffix(".csv"))


def _repeats(condition: Condition, done: WallRun, trace: Path) -> bool:
    """Whether virtual time with the measured latencies gives the same log."""
    started = done.table["started"] >= 0
    if not started.any():
        return True
    setup = EpisodeSetup(replace(condition, latency=Trace(str(trace)), max_ticks=len(done.table)))
    log = TickLog()
    setup.run(done.result.seed, [log])
    return log.table().digest() == done.table.digest()


def _measures(
    kept: Punctuality,
    runs: list[WallRun],
    same: list[bool],
    before: dict[str, float],
    after: dict[str, float],
    control_hz: int,
) -> list[Measure]:
    late = 1e3 * kept.lateness()
    work = 1e3 * np.array(kept.work_s)
    taken = np.concatenate([done.table["latency_s"][done.table["started"] >= 0] for done in runs])
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
        Measure("solved", "of them solved", sum(done.result.success for done in runs), n=len(runs)),
        Measure("memory", "memory gained", after["mb"] - before["mb"], "MB"),
        Measure("descriptors", "descriptors gained", after["files"] - before["files"], target=0),
    ]
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


def _resources() -> dict[str, float]:
    """Resident memory [MB] and open descriptors of this process; zeros where nobody tells."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return {
            "mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            "files": len(os.listdir("/proc/self/fd")),
        }
    except OSError:
        return {"mb": 0.0, "files": 0.0}
