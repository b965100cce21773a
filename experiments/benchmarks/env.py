"""``xr0-sim bench env``: what a step costs beyond its physics, and what pictures cost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.task_spec import BenchTargets
from envs.tasks import env_class, make_env, task_spec
from experiments.benchmarks.report import Measure, report
from experiments.benchmarks.step_replay import (
    RecordedTick,
    Stopwatch,
    quiet_collector,
    record_expert,
    time_physics,
    time_step,
)
from experiments.options.task_options import TaskOptions
from xr0_sim.errors import ConfigError, RenderError

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

WARM_UP_TICKS = 30

PARTS = {
    "_simulate": "physics loop",
    "_assess": "reward, success, phase",
    "gym_observation": "observation",
    "_info": "info",
}
"""Methods of the environment that make up a step -> what they are called in the profile."""

DETAILS = {
    "": {
        "robot_state": "robot state",
        "privileged_vector": "privileged vector",
        "_tool_gaps": "reward: reach",
        "_phase": "phase",
    },
    "_judge": {"update": "books on the bricks", "carried": "reward: carried"},
    "_clutches": {"watch": "clutch checks", "break_overloaded": "clutch loads"},
    "_contacts": {"read": "contacts"},
}
"""Attribute of the environment -> its methods; they lie within the parts, some within others."""


@dataclass(frozen=True)
class BenchEnvConfig(TaskOptions):
    """Times env.step against its own physics, and the cameras; CPU time, as ratios.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        seed: Seed of the recorded episode.
        ticks: Longest recording [control ticks].
        repeats: How often every tick is replayed.
        no_images: Leave the cameras out.
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    seed: int = 0
    ticks: int = 150
    repeats: int = 7
    no_images: bool = False
    json: bool = False


def run(config: BenchEnvConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    env_kwargs, spec = config.env_kwargs(), task_spec(config.task)
    targets = spec.bench(env_kwargs)
    if config.ticks < 10 or config.repeats < 1:
        raise ConfigError("--ticks, --repeats: expected at least 10 and 1")
    env = make_env(config.task, **env_kwargs)
    ticks = record_expert(env, config.seed, config.ticks)
    measures, profile = measure_step(env, ticks, config.repeats, targets)
    if not config.no_images:
        measures += measure_images(config, env_kwargs, [tick.action for tick in ticks], targets)
    report(
        f"{config.task}, {spec.describe(env_kwargs)}, {len(ticks)} ticks of the expert, CPU time",
        measures,
        as_json=config.json,
        config=config,
        tables={"where env.step spends its time": profile},
    )
    return 0


def measure_step(
    env: DualArmEnv, ticks: list[RecordedTick], repeats: int, targets: BenchTargets
) -> tuple[list[Measure], list[dict[str, Any]]]:
    """Ratio of env.step to its physics, and the profile of env.step."""
    whole = np.empty((repeats, len(ticks)))
    bare = np.empty((repeats, len(ticks)))
    with quiet_collector():
        for repeat in range(repeats):
            for place, tick in enumerate(ticks):
                # Taking turns at going first cancels what the order does to the caches.
                if (repeat + place) % 2:
                    bare[repeat, place] = time_physics(env, tick)
                    whole[repeat, place] = time_step(env, tick)
                else:
                    whole[repeat, place] = time_step(env, tick)
                    bare[repeat, place] = time_physics(env, tick)
    step_us, physics_us = _typical_us(whole), _typical_us(bare)
    each = whole.sum(axis=1) / bare.sum(axis=1)
    measures = [
        Measure(
            "step_ratio",
            "env.step / its mj_steps",
            step_us / physics_us,
            low=float(each.min()),
            high=float(each.max()),
            n=repeats,
            target=targets.step_ratio,
        ),
        Measure("step_us", "env.step, state observation", step_us, "µs"),
        Measure("physics_us", f"its {env.substeps} mj_steps", physics_us, "µs"),
        Measure(
            "physics_real_time_factor",
            "real-time factor, physics alone",
            1e6 / env.control_hz / physics_us,
            target=targets.physics,
            sense="at least",
        ),
        Measure(
            "state_real_time_factor",
            "real-time factor, no pictures",
            1e6 / env.control_hz / step_us,
        ),
    ]
    return measures, _profile(env, ticks, step_us, physics_us)


def _typical_us(times_ns: NDArray[np.float64]) -> float:
    """Mean over ticks of the median over repeats [µs]."""
    return float(np.median(times_ns, axis=0).mean()) / 1e3


def _profile(
    env: DualArmEnv, ticks: list[RecordedTick], step_us: float, physics_us: float
) -> list[dict[str, Any]]:
    """Rows of part, µs per step, and cost relative to the physics."""
    spent = _watched(env, ticks, [(env, PARTS)])
    parts = {"mj_step": physics_us}
    loop_us = spent.pop("physics loop", physics_us)
    parts["substep loop, targets, clutches"] = max(0.0, loop_us - physics_us)
    parts |= spent
    parts["rest: checks, events, limits"] = max(0.0, step_us - sum(parts.values()))
    owners = ((getattr(env, name, None) if name else env, names) for name, names in DETAILS.items())
    inner = [(owner, names) for owner, names in owners if owner is not None]
    details = _watched(env, ticks, inner)
    # A stopwatch costs as much as a small method; what it shows of them is an upper bound.
    parts |= {f"  within: {label}": us for label, us in details.items()}
    return [
        {"part": name, "us per step": us, "share of mj_step": us / physics_us}
        for name, us in parts.items()
    ]


def _watched(
    env: DualArmEnv, ticks: list[RecordedTick], owners: list[tuple[Any, dict[str, str]]]
) -> dict[str, float]:
    """CPU time per step in methods, by label [µs]; methods that do not exist are left out."""
    watch = Stopwatch()
    with quiet_collector(), ExitStack() as stack:
        for owner, names in owners:
            known = {name: label for name, label in names.items() if hasattr(owner, name)}
            stack.enter_context(watch.watching(owner, known))
        for tick in ticks:
            time_step(env, tick)
    return {label: ns / len(ticks) / 1e3 for label, ns in watch.spent_ns.items()}


def measure_images(
    config: BenchEnvConfig,
    env_kwargs: dict[str, Any],
    actions: list[NDArray[np.floating]],
    targets: BenchTargets,
) -> list[Measure]:
    """Real-time factor of env.step with three pictures of the world's size every tick.

    CPU time of all threads of the process: what one core has to do.
    """
    try:
        _check_renderer()
        cls = env_class(config.task)
        env = cls(observation="pixels", **env_kwargs)
        env.reset(seed=config.seed)
    except RenderError as error:
        return [Measure("image_real_time_factor", f"pictures: {error}", 0.0, target=None)]
    spent = []
    with quiet_collector():
        for action in actions:
            start, wall = time.process_time_ns(), time.perf_counter_ns()
            env.step(action)
            spent.append((time.process_time_ns() - start, time.perf_counter_ns() - wall))
    env.close()
    cpu_ns, wall_ns = (np.array(spent[WARM_UP_TICKS // 3 :], dtype=float)).T
    tick_ns = 1e9 / env.control_hz
    quarters = [tick_ns / part.mean() for part in np.array_split(cpu_ns, 4)]
    return [
        Measure(
            "image_real_time_factor",
            f"real-time factor, three {env.image_size}² pictures at {env.control_hz} Hz",
            tick_ns / float(cpu_ns.mean()),
            low=min(quarters),
            high=max(quarters),
            n=len(quarters),
            target=targets.pictures,
            sense="at least",
        ),
        Measure("image_step_us", "env.step with pictures", float(cpu_ns.mean()) / 1e3, "µs"),
        Measure(
            "image_real_time_factor_wall",
            "the same by wall clock, as loaded as the machine is",
            tick_ns / float(wall_ns.mean()),
        ),
    ]


def _check_renderer() -> None:
    import os

    import envs  # noqa: F401  (chooses the backend)
    from envs.scene.gl import INSTALL_HINT

    if os.environ.get("MUJOCO_GL") == "disable":
        raise RenderError(f"expected EGL or OSMesa, found neither; {INSTALL_HINT}")
