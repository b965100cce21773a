"""``xr0-sim bench change``: what the robot's own motion and what an event change in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.tasks import make_env, register_events
from experiments.benchmarks.report import Measure, report
from experiments.options.task_options import TaskOptions
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import Interval, wilson
from xr0_sim.runtime.strategies.event_triggered import picture_change


@dataclass(frozen=True)
class BenchChangeConfig(TaskOptions):
    """Calibrates ``event_triggered``: the largest change of a picture between two captures.

    The scripted expert plays every seed undisturbed and with the event. Captures lie
    ``execution_horizon`` ticks apart; the threshold is a quantile of the largest changes without
    event, and the event counts as seen if the change passes it before the next capture.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        event: Event preset, with a trigger or without.
        execution_horizon: Ticks between two captures.
        quantile: Share of undisturbed stretches that stay below the threshold.
        episodes: Seeds.
        seed: The first of them.
        image_size: Side of the pictures [px].
        camera: View that is watched.
        json: Print one JSON object.
    """

    env: str = "block_dismantling"
    event: str = "shove"
    execution_horizon: int = 20
    quantile: float = 0.95
    episodes: int = 10
    seed: int = 0
    image_size: int = 128
    camera: str = CAMERAS[0]
    json: bool = False


def run(config: BenchChangeConfig) -> int:
    """Measures and prints."""
    if config.episodes < 1 or not 0 < config.quantile < 1 or config.execution_horizon < 1:
        raise ConfigError(
            "bench change: expected --episodes and --execution-horizon >= 1 and --quantile in "
            f"0..1, got {config.episodes}, {config.execution_horizon} and {config.quantile}"
        )
    quiet: list[float] = []
    disturbed: list[float] = []
    for seed in range(config.seed, config.seed + config.episodes):
        quiet += [peak for peak, _ in stretches(config, seed, "")]
        disturbed += [peak for peak, hit in stretches(config, seed, config.event) if hit]
    threshold = float(np.quantile(quiet, config.quantile))
    seen = wilson(int((np.array(disturbed) > threshold).sum()), len(disturbed))
    false = wilson(int((np.array(quiet) > threshold).sum()), len(quiet))
    measures = [
        Measure("threshold", f"threshold, {config.quantile:.0%} of quiet stretches", threshold),
        Measure("quiet_median", "change in a quiet stretch, median", float(np.median(quiet))),
        _share("false_alarms", "false alarms a stretch", false),
        _share("seen", f"{config.event} seen before the next capture", seen),
    ]
    title = (
        f"{config.task}, {config.camera} camera, captures every {config.execution_horizon} ticks, "
        f"{config.episodes} seeds"
    )
    report(title, measures, as_json=config.json, config=config)
    return 0


def _share(name: str, label: str, rate: Interval) -> Measure:
    return Measure(name, label, rate.value, "", rate.low, rate.high, rate.n)


def stretches(config: BenchChangeConfig, seed: int, event: str) -> list[tuple[float, bool]]:
    """Of every stretch between two captures, the largest change and whether the event fired."""
    from policies.scripted.experts import make_expert

    register_events(config.task)
    env = make_env(config.task, image_size=config.image_size, **config.env_kwargs())
    expert = make_expert(env)
    env.reset_scene(seed, {"events": [event] if event else []})
    found: list[tuple[float, bool]] = []
    done, limit = False, 450
    try:
        while not done and env.tick < limit:
            before, peak, hit = env.camera_images()[config.camera], 0.0, False
            for _ in range(config.execution_horizon):
                action = expert.action(env.robot_state(), env.privileged())
                _, done, _, info = env.advance(action)
                hit |= bool(info["events"])
                peak = max(peak, picture_change(before, env.camera_images()[config.camera]))
                if done:
                    break
            found.append((peak, hit))
    finally:
        env.close()
    return found
