"""``xr0-sim train-correction``: a head that corrects a policy's rows in every tick."""

from __future__ import annotations

import functools
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.tasks import make_env, own_presets, register_events
from envs.world import DEFAULT_WORLD
from experiments.options.task_options import TaskOptions
from experiments.runner.pool import TaskPool, check_stop
from experiments.runner.progress import Progress
from xr0_sim.atomic import write_json
from xr0_sim.errors import ConfigError, SimulationError, unknown_name

if TYPE_CHECKING:
    from experiments.datagen.correction_episodes import CorrectionEpisodeConfig
    from policies.scripted.oracle import ChunkOracle
    from policies.xr0.chunk_model import XR0ChunkModel

STAGES = ("collect", "train")
EPISODES_DIR, RUN_DIR, CHECKPOINT_DIR = "episodes", "head", "checkpoint"
RECORD_FILE, METRICS_FILE = "record.json", "metrics.jsonl"


@dataclass(frozen=True)
class TrainCorrectionConfig(TaskOptions):
    """Plays a policy, asks the expert, and trains its correction head; goes on where it stopped.

    The policy of OUT/checkpoint is the one that was corrected, with the new head.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        out: Run folder: episodes, training state, policy.
        stages: What to do, with commas: collect, train.
        checkpoint: Policy: shipped name or path; empty takes the one that ships for the task.
        head: Its action-expert head.
        events: Event presets, with commas, of which an episode draws one.
        event_share: Share of episodes with an event.
        latency_ms: Inference latency of the policy [ms].
        episodes: Number of episodes.
        first_seed: Seed of the first; the others follow.
        workers: Worker processes that play; the samples do not depend on it.
        steps: Optimiser steps.
        batch_size: Samples of a step.
        rate: Learning rate.
        validation: Share of episodes held out.
        dead_zone: Displacement [m], rotation [rad] and jaw below which nothing is corrected.
        seed: Seed of weights, noise and order.
    """

    env: str = "block_dismantling:n_bricks=2"
    out: str = "runs/correction"
    stages: str = "collect,train"
    checkpoint: str = ""
    head: str = "sync"
    events: str = "shove"
    event_share: float = 0.5
    latency_ms: float = 80.0
    episodes: int = 100
    first_seed: int = 7_000_000
    workers: int = 1
    steps: int = 1500
    batch_size: int = 32
    rate: float = 1e-3
    validation: float = 0.1
    dead_zone: tuple[float, float, float] = (0.004, 0.05, 0.2)
    seed: int = 0


@dataclass(frozen=True)
class EpisodeJob:
    """One episode that a worker plays."""

    config: TrainCorrectionConfig
    seed: int


def run(config: TrainCorrectionConfig) -> int:
    """Collects and trains; returns the exit status, 130 when interrupted."""
    config.env_kwargs()
    stages = config.stages.split(",")
    for stage in stages:
        if stage not in STAGES:
            raise unknown_name("stage", stage, STAGES)
    for name, least, most in (
        ("episodes", 1, 10**6),
        ("first_seed", 0, 2**31),
        ("event_share", 0.0, 1.0),
        ("latency_ms", 0.0, 10_000.0),
        ("steps", 1, 10**7),
        ("batch_size", 1, 4096),
        ("validation", 0.0, 0.5),
    ):
        value = getattr(config, name)
        if not least <= value <= most:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag}: expected {least:g} .. {most:g}, got {value:g}")
    if "collect" in stages:
        _collect(config)
    if "train" in stages and not _train(config):
        _say("stopped; the same command goes on from here")
        return 130
    return 0


def _claim(config: TrainCorrectionConfig) -> Path:
    """The folder of the episodes, which belongs to one policy, its weights and these settings."""
    from policies.xr0.checkpoints import head_digest
    from xr0_sim.data.correction_store import claim_store

    folder, checkpoint = Path(config.out) / EPISODES_DIR, checkpoint_of(config)
    made_by = {"episodes": asdict(episode_config(config)), "env_kwargs": config.env_kwargs()}
    policy = {"checkpoint": checkpoint, "weights": head_digest(checkpoint, config.head)}
    claim_store(folder, made_by | policy | {"env": config.task, "head": config.head})
    return folder


def _collect(config: TrainCorrectionConfig) -> None:
    from xr0_sim.data.correction_store import stored_seeds

    folder = _claim(config)
    done = set(stored_seeds(folder))
    seeds = range(config.first_seed, config.first_seed + config.episodes)
    jobs = [EpisodeJob(config, seed) for seed in seeds if seed not in done]
    with TaskPool(config.workers) as pool, Progress(len(jobs), "collecting") as progress:
        for _, (seed, outcome) in pool.run(play_job, jobs):
            progress.advance(f"seed {seed}", outcome)


def play_job(job: EpisodeJob) -> tuple[int, str]:
    """Plays and stores one episode; its seed and outcome."""
    from experiments.datagen.correction_episodes import play_correction_episode
    from xr0_sim.data.correction_store import write_episode

    check_stop()
    config = job.config
    kwargs = tuple(config.env_kwargs().items())
    oracle, model = _stage(config.task, kwargs, checkpoint_of(config), config.head)
    played = episode_config(config)
    try:
        arrays, success = play_correction_episode(oracle.env, oracle, model, played, job.seed)
        outcome = "success" if success else "failure"
    except SimulationError:
        # The physics broke: what was recorded of the episode is not to be learned from.
        arrays, outcome = {}, "invalid"
    write_episode(Path(config.out) / EPISODES_DIR, job.seed, arrays)
    return job.seed, outcome


@functools.lru_cache(maxsize=1)
def _stage(
    task: str, env_kwargs: tuple[tuple[str, Any], ...], checkpoint: str, head: str
) -> tuple[ChunkOracle, XR0ChunkModel]:
    import torch

    from policies.scripted.oracle import ChunkOracle
    from policies.xr0.loading import load_chunk_model

    torch.set_num_threads(1)
    register_events(task)
    model = load_chunk_model(checkpoint, head, task=task)
    env = make_env(task, image_size=model.image_size, **dict(env_kwargs))
    return ChunkOracle(env), model


def checkpoint_of(config: TrainCorrectionConfig) -> str:
    """Name or path of the policy that is corrected."""
    from policies.xr0.checkpoints import default_checkpoint

    world = config.env_kwargs().get("world", DEFAULT_WORLD)
    return config.checkpoint or default_checkpoint(config.task, world)


def episode_config(config: TrainCorrectionConfig) -> CorrectionEpisodeConfig:
    """Settings of the episodes."""
    from experiments.datagen.correction_episodes import CorrectionEpisodeConfig
    from experiments.runner.condition import choose_events
    from policies.xr0.execution import execution_horizon_for

    world = config.env_kwargs().get("world", DEFAULT_WORLD)
    choose_events(config.task, config.events, world=world)  # refuses what never happens
    return CorrectionEpisodeConfig(
        execution_horizon=execution_horizon_for(checkpoint_of(config)),
        latency_s=config.latency_ms / 1e3,
        events=tuple(own_presets(config.task, config.events)),
        event_share=config.event_share,
    )


def _train(config: TrainCorrectionConfig) -> bool:
    """Trains and writes the head into a copy of the policy; whether it was not interrupted."""
    import torch

    from policies.xr0.checkpoints import find_checkpoint
    from xr0_sim.data.correction_store import check_filled
    from xr0_sim.model.checkpoints.manifest import CORRECTION_DIR
    from xr0_sim.model.checkpoints.shipped import load_config
    from xr0_sim.model.correction.head import CorrectionConfig
    from xr0_sim.training.correction_training import CorrectionStageConfig, train_correction
    from xr0_sim.training.trainer import TrainerConfig

    torch.set_num_threads(1)  # its matrices are too small for more
    out = Path(config.out)
    check_filled(out / EPISODES_DIR)
    episodes = _claim(config)
    target = out / CHECKPOINT_DIR
    if not (target / "config.json").is_file():
        shutil.copytree(find_checkpoint(checkpoint_of(config)), target, dirs_exist_ok=True)
    horizon = load_config(target, config.head).action_length
    trainer = TrainerConfig(
        steps=config.steps,
        learning_rate=config.rate,
        warmup_steps=min(100, max(1, config.steps // 10)),
        batch_size=config.batch_size,
        seed=config.seed,
        eval_every=500,
        save_every=250,
    )
    head = CorrectionConfig(horizon=horizon, dead_zone=config.dead_zone, action_head=config.head)
    stage = CorrectionStageConfig(trainer, head, config.validation)
    if not train_correction(episodes, target, stage, out / RUN_DIR, _say):
        return False
    _record(config, out, target / CORRECTION_DIR)
    return True


def _record(config: TrainCorrectionConfig, out: Path, folder: Path) -> None:
    """Beside the head: what it was trained on, with which options and code, and its loss curve."""
    from xr0_sim.data.correction_store import stored_seeds
    from xr0_sim.record.runcard import installed_versions, source_commit

    seeds = stored_seeds(out / EPISODES_DIR)
    options = {name: value for name, value in asdict(config).items() if name != "out"}
    note = {
        "commit": source_commit(),
        "config": options,
        "episodes": {"count": len(seeds), "seeds": [seeds[0], seeds[-1]]},
        "versions": installed_versions(),
    }
    write_json(folder / RECORD_FILE, note)
    shutil.copy2(out / RUN_DIR / METRICS_FILE, folder / METRICS_FILE)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
