"""``xr0-sim bench pictures``: what leaving out the unseen saves, by turns in one run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.tasks import make_env
from experiments.benchmarks.report import Measure, report
from experiments.benchmarks.step_replay import quiet_collector
from experiments.options.task_options import TaskOptions
from xr0_sim.errors import ConfigError

if TYPE_CHECKING:
    import mujoco

    from envs.scene.rendering import SceneRenderer

TARGET = 1.5
"""Chosen: pictures a second against those of whole scenes."""


@dataclass(frozen=True)
class BenchPicturesConfig(TaskOptions):
    """Times the policy's pictures with and without what their cameras cannot see.

    The scripted expert plays; every few ticks all views are drawn both ways, in turn first. The
    times are CPU times of all threads: what one core has to do.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        seed: First seed.
        episodes: Seeds.
        ticks: Of an episode [control ticks].
        every: Ticks between two moments that are drawn.
        repeats: How often a moment is drawn; the median counts.
        image_size: Side of the pictures [px].
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    seed: int = 0
    episodes: int = 3
    ticks: int = 151
    every: int = 10
    repeats: int = 5
    image_size: int = 128
    json: bool = False


def run(config: BenchPicturesConfig) -> int:
    """Measures and prints; exit status 0 also if the target is missed."""
    for name in ("episodes", "ticks", "every", "repeats", "image_size"):
        if getattr(config, name) < 1:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option}: expected at least 1, got {getattr(config, name)}")
    from envs.scene.cameras import MJ_CAMERAS

    costs, equal = [], 0
    for seed in range(config.seed, config.seed + config.episodes):
        found, same = _episode(config, seed)
        costs += found
        equal += same
    cost = np.array(costs)
    views = len(MJ_CAMERAS)
    low, high = _ratio_interval(cost, np.random.default_rng(config.seed))
    per_second = views * 1e9 / cost.mean(axis=0)
    pictures = views * len(cost)
    measures = [
        Measure(
            "speed_up",
            "pictures a second, against whole scenes",
            per_second[1] / per_second[0],
            low=low,
            high=high,
            n=len(cost),
            target=TARGET,
            sense="at least",
        ),
        Measure("whole", "of whole scenes", per_second[0], "1/s", n=len(cost)),
        Measure("seen", "of what is seen", per_second[1], "1/s", n=len(cost)),
        Measure("unequal", "pictures that differ", pictures - equal, n=pictures, target=0),
    ]
    title = f"{config.task}, {views} views of {config.image_size}², CPU time, mean of moments"
    report(title, measures, as_json=config.json, config=config)
    return 0


def _ratio_interval(
    cost: NDArray[np.float64], rng: np.random.Generator, resamples: int = 4000
) -> tuple[float, float]:
    """95 % bootstrap interval over moments of the ratio of the two mean costs."""
    totals = cost[rng.integers(0, len(cost), (resamples, len(cost)))].sum(axis=1)
    low, high = np.quantile(totals[:, 0] / totals[:, 1], (0.025, 0.975))
    return float(low), float(high)


def _episode(config: BenchPicturesConfig, seed: int) -> tuple[list[NDArray[np.float64]], int]:
    """CPU time of all views, (whole, seen) [ns] for every moment; and how many are equal."""
    from envs.scene.rendering import SceneRenderer
    from policies.scripted.experts import make_expert

    env = make_env(config.task, **config.env_kwargs())
    expert = make_expert(env)
    env.reset_scene(seed)
    size = config.image_size
    ways = [SceneRenderer(env.model, size, size, whole=whole) for whole in (True, False)]
    costs: list[NDArray[np.float64]] = []
    equal, done = 0, False
    try:
        while not done and env.tick < config.ticks:
            if env.tick % config.every == 0:
                found, same = _moment(env.data, ways, config.repeats)
                costs.append(found)
                equal += same
            _, done, _, _ = env.advance(expert.action(env.robot_state(), env.privileged()))
    finally:
        for way in ways:
            way.close()
        env.close()
    return costs, equal


def _moment(
    data: mujoco.MjData, ways: list[SceneRenderer], repeats: int
) -> tuple[NDArray[np.float64], int]:
    """Median CPU time of all views, (whole, seen) [ns], and how many of them are equal."""
    from envs.scene.cameras import MJ_CAMERAS

    spent = np.empty((repeats, len(ways)))
    shown: dict[int, list[NDArray[np.uint8]]] = {}
    with quiet_collector():
        for repeat in range(repeats):
            order = range(len(ways)) if repeat % 2 else reversed(range(len(ways)))
            for place in order:
                start = time.process_time_ns()
                shown[place] = [ways[place].draw(data, name) for name in MJ_CAMERAS.values()]
                spent[repeat, place] = time.process_time_ns() - start
    same = sum(np.array_equal(one, other) for one, other in zip(shown[0], shown[1], strict=True))
    return np.median(spent, axis=0), same
