"""The control loop against the wall clock: ticks on time, the simulator for the robot."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.realtime.inference import Inference
from experiments.realtime.late_latencies import with_latencies
from experiments.realtime.mailbox import PLAIN
from experiments.runner.condition import Condition
from xr0_sim.errors import ConfigError
from xr0_sim.record import TickLog, TickTable
from xr0_sim.runtime.episode import EpisodeLoop, finish
from xr0_sim.runtime.episode_ports import EpisodeResult
from xr0_sim.runtime.wall_executor import WallExecutor
from xr0_sim.types import ActionChunk, Observation

NS = 1_000_000_000
SPIN_NS = 300_000
"""The last stretch before a deadline is waited for awake: sleeping ends late by as much; chosen."""


@dataclass
class Punctuality:
    """How well the loop kept its deadlines.

    Attributes:
        lateness_s: Start of every tick behind its deadline [s].
        work_s: From the start of a tick to the end of its physics [s].
        missed: Ticks that began after the deadline of the next one.
    """

    lateness_s: list[float] = field(default_factory=list)
    work_s: list[float] = field(default_factory=list)
    missed: int = 0

    def lateness(self) -> NDArray[np.float64]:
        """Of every tick [s]."""
        return np.array(self.lateness_s)


@dataclass(frozen=True)
class WallRun:
    """An episode that was run against the wall clock.

    Attributes:
        result: What came of it.
        table: Its tick log, with the measured latencies.
        wall_s: From the first to behind the last tick [s].
    """

    result: EpisodeResult
    table: TickTable
    wall_s: float


class Stand:
    """What an executor needs to know of a model that answers elsewhere."""

    def __init__(self, inference: Inference) -> None:
        self.horizon = inference.horizon
        self.capabilities = inference.capabilities & PLAIN
        self.reset = inference.reset

    def infer(self, *_: Any) -> ActionChunk:
        """Nobody may wait here."""
        raise ConfigError("real time: expected post() and arrive(), got a call that would wait")


def run_wall_episode(
    plant: Any,
    inference: Inference,
    condition: Condition,
    seed: int,
    looks: bool,
    kept: Punctuality,
    stopped: Callable[[], bool] = lambda: False,
) -> WallRun:
    """Runs one episode against the wall clock.

    A tick that is late moves no deadline: the loop catches up, and what it missed is counted.

    Args:
        plant: Task, with pictures if the policy looks.
        inference: Who answers.
        condition: Strategy, estimator, events and tick limit; its latency is not drawn from.
        seed: Episode seed.
        looks: Whether captures are drawn.
        kept: Where lateness is added.
        stopped: Asked every tick; true ends the episode.
    """
    executor = WallExecutor(
        Stand(inference),
        condition.strategy,
        estimator=condition.estimator,
        control_hz=plant.control_hz,
    )
    options = {"events": list(condition.events)}
    plant.reset(seed, options)
    _observe(plant, looks)  # the first picture of a scene makes its renderer
    log = TickLog()
    loop = EpisodeLoop(executor, [log], condition.stall_ticks)
    captures: dict[int, int] = {}
    tick_ns = NS // plant.control_hz
    began = time.monotonic_ns()
    cycle = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection in mid-tick costs more than a tick's garbage

    def play() -> None:
        nonlocal began
        loop.begin(seed, plant.robot_state(), options)
        began = time.monotonic_ns() + tick_ns
        while loop.ticks < condition.max_ticks and not loop.over and not stopped():
            tick = loop.ticks
            deadline = began + tick * tick_ns
            start = _wait_until(deadline)
            for number, chunk, done_ns in inference.poll():
                executor.arrive(number, chunk, (done_ns - captures.pop(number)) / NS)
            loop.request(plant.robot_state(), lambda: _observe(plant, looks))
            posted = executor.post()
            if posted is not None:
                captures[posted[0]] = deadline
                inference.post(*posted)
            record = loop.select()
            loop.complete(*plant.step(record.action))
            kept.lateness_s.append((start - deadline) / NS)
            kept.work_s.append((time.monotonic_ns() - start) / NS)
            kept.missed += start >= deadline + tick_ns

    try:
        result = finish(loop, play)
    finally:
        if cycle:
            gc.enable()
    wall_s = max(time.monotonic_ns() - began, loop.ticks * tick_ns) / NS
    return WallRun(result, with_latencies(log.table(), executor.measured), wall_s)


def _observe(plant: Any, looks: bool) -> Observation:
    seen: Observation = plant.observe(images=looks)
    return seen


def _wait_until(deadline_ns: int) -> int:
    """Sleeps, then waits awake; when it is [ns]."""
    while (left := deadline_ns - time.monotonic_ns()) > SPIN_NS:
        time.sleep((left - SPIN_NS) / NS)
    while (now := time.monotonic_ns()) < deadline_ns:
        pass
    return now
