"""Replays recorded ticks, as `env.step` and as the bare physics steps inside it."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import Xr0SimError

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv


@dataclass(frozen=True)
class RecordedTick:
    """One tick of an episode.

    Attributes:
        before: Snapshot of the environment at its start.
        action: (14,) action for ``env.step``, -1 .. 1.
        ctrl: (substeps, nu) actuator targets of its physics steps.
        qpos: (nq,) positions at its end.
    """

    before: Any
    action: NDArray[np.floating]
    ctrl: NDArray[np.float64]
    qpos: NDArray[np.float64]


def record_expert(env: DualArmEnv, seed: int, most_ticks: int) -> list[RecordedTick]:
    """Ticks of an episode of the scripted expert.

    A tick in which a clutch opens is left out: the bare physics steps would not open it.
    """
    from envs.robot.actions import to_unit
    from policies.scripted.experts import make_expert

    expert = make_expert(env)
    env.reset(seed=seed)
    ticks = []
    done = False
    while not done and env.tick < most_ticks:
        before = env.snapshot()
        action = to_unit(expert.action(env.robot_state(), env.privileged()))
        active = env.data.eq_active.copy()
        with _ctrl_recorded(env) as ctrl:
            _, _, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
        if np.array_equal(active, env.data.eq_active):
            ticks.append(RecordedTick(before, action, np.array(ctrl), env.data.qpos.copy()))
    return ticks


@contextmanager
def _ctrl_recorded(env: DualArmEnv) -> Iterator[list[NDArray[np.float64]]]:
    """Collects the actuator targets of every physics step of the environment."""
    import mujoco

    original = mujoco.mj_step
    rows: list[NDArray[np.float64]] = []

    def recording(model: Any, data: Any, nstep: int = 1) -> None:
        if data is env.data:
            rows.extend([data.ctrl.copy()] * nstep)
        original(model, data, nstep)

    mujoco.mj_step = recording
    try:
        yield rows
    finally:
        mujoco.mj_step = original


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Keeps the garbage collector out of timings."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def time_step(env: DualArmEnv, tick: RecordedTick) -> int:
    """CPU time of one ``env.step`` [ns]."""
    env.restore(tick.before)
    start = time.thread_time_ns()
    env.step(tick.action)
    elapsed = time.thread_time_ns() - start
    _check(env, tick, "env.step")
    return elapsed


def time_physics(env: DualArmEnv, tick: RecordedTick) -> int:
    """CPU time of the tick's ``mj_step`` calls alone, same states and targets [ns]."""
    import mujoco

    env.restore(tick.before)
    model, data, table, ctrl = env.model, env.data, tick.ctrl, env.data.ctrl
    step = mujoco.mj_step
    start = time.thread_time_ns()
    for row in table:
        ctrl[:] = row
        step(model, data)
    elapsed = time.thread_time_ns() - start
    _check(env, tick, "mj_step")
    return elapsed


def _check(env: DualArmEnv, tick: RecordedTick, what: str) -> None:
    if not np.array_equal(env.data.qpos, tick.qpos):
        raise Xr0SimError(f"replay: expected {what} to repeat the recorded tick bit for bit")


class Stopwatch:
    """Sums the CPU time spent in methods of an object, inclusive of what they call."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = {}

    @contextmanager
    def watching(self, owner: Any, names: dict[str, str]) -> Iterator[None]:
        """Wraps methods ``attribute -> label`` of one object while the block runs."""
        for attribute, label in names.items():
            setattr(owner, attribute, self._timed(getattr(owner, attribute), label))
        try:
            yield
        finally:
            for attribute in names:
                delattr(owner, attribute)

    def _timed(self, method: Any, label: str) -> Any:
        self.spent_ns.setdefault(label, 0)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time_ns()
            try:
                return method(*args, **kwargs)
            finally:
                self.spent_ns[label] += time.thread_time_ns() - start

        return timed
