"""Trains an agent on a stage: a teacher's advice, then soft actor-critic; resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from experiments.rl.checkpoint import load_checkpoint
from experiments.rl.dagger import labelled, learn_from_teacher
from experiments.rl.demonstrations import union
from experiments.rl.learner import DemonstratedSAC, HalfDemonstrated, NormedPolicy
from experiments.rl.run_folder import CHECKPOINT_FILE, claim, cut_curve
from experiments.rl.watch import Watch
from policies.rl.staged_env import StagedBlocks

TRAIN_SEED = 7_000_000
"""First episode seed of the reinforcement."""
GAMMA = 0.97
BATCH = 256
HIDDEN = (256, 256)
TEMPERATURE = 0.005
"""Weight of the entropy behind demonstrations, against returns of about 15. Chosen."""
CLIP_FEATURES = 10.0


@dataclass(frozen=True)
class RlTraining:
    """What is trained and how; a folder holds one of these.

    Attributes:
        stage: One of `policies.rl.stages.STAGES`.
        env_kwargs: Arguments of the block task.
        steps: Decisions of the agent, all together.
        demonstrations: Episodes of the teacher to begin from; 0 for none.
        rounds: How often the clone plays and is trained again, with the teacher's labels.
        round_episodes: Episodes of each.
        clone_steps: Gradient steps of cloning in each; four times as many in the last.
        gradient_steps: Gradient steps per decision.
        evaluate_every: Decisions between two evaluations.
        evaluation_episodes: Episodes of each.
        save_seconds: Time between two checkpoints [s].
        tensorboard: Also write TensorBoard event files.
        seed: Of networks, noise and order.
    """

    stage: str
    env_kwargs: dict[str, Any]
    steps: int = 20_000
    demonstrations: int = 60
    rounds: int = 6
    round_episodes: int = 40
    clone_steps: int = 2000
    gradient_steps: int = 1
    evaluate_every: int = 2000
    evaluation_episodes: int = 20
    save_seconds: float = 120.0
    tensorboard: bool = False
    seed: int = 0


FREE = ("steps", "evaluate_every", "evaluation_episodes", "save_seconds", "tensorboard")
"""What may differ when a training goes on."""


def train(config: RlTraining, folder: Path, say: Callable[[str], None]) -> bool:
    """Trains into a folder, from where it was.

    Returns:
        False when it was interrupted; everything but the last decisions is kept.
    """
    claim(asdict(config), FREE, folder)
    asks = config.demonstrations > 0
    env = StagedBlocks(config.stage, first_seed=TRAIN_SEED, advised=asks, **config.env_kwargs)
    statistics = VecNormalize(
        DummyVecEnv([lambda: Monitor(env)]),
        norm_reward=False,
        clip_obs=CLIP_FEATURES,
        gamma=GAMMA,
    )
    model = _model(config, statistics, folder)
    buffer = model.replay_buffer
    assert isinstance(buffer, HalfDemonstrated)
    buffer.rng = np.random.default_rng(config.seed)
    watch = Watch(config, folder, statistics, say)
    watch.model = model
    checkpoint = folder / CHECKPOINT_FILE
    goes_on = checkpoint.is_file()
    if goes_on:
        if asks:
            buffer.demonstrations = union(labelled(folder))
        watch.counters = load_checkpoint(checkpoint, model, statistics)
        buffer.rng = np.random.default_rng([config.seed, model.num_timesteps])
        env.rewind(watch.counters["episodes"])
        cut_curve(folder, lambda point: point["decisions"] <= model.num_timesteps)
        say(f"goes on after {model.num_timesteps} of {config.steps} decisions")
    try:
        if asks and not goes_on:
            learn_from_teacher(config, folder, model, statistics, watch, say)
        if model.num_timesteps < config.steps:
            model.learn(
                config.steps - model.num_timesteps,
                callback=watch,
                reset_num_timesteps=False,
                tb_log_name=config.stage,
                log_interval=10,
            )
    except KeyboardInterrupt:
        if model.num_timesteps:
            watch.keep()
        return False
    finally:
        statistics.close()
        watch.close()
    watch.keep()
    return True


def _model(config: RlTraining, statistics: VecNormalize, folder: Path) -> DemonstratedSAC:
    model = DemonstratedSAC(
        NormedPolicy,
        statistics,
        learning_rate=5e-4,
        buffer_size=max(config.steps, 1),
        learning_starts=200,
        batch_size=BATCH,
        tau=0.01,
        gamma=GAMMA,
        train_freq=1,
        gradient_steps=config.gradient_steps,
        replay_buffer_class=HalfDemonstrated,
        ent_coef=TEMPERATURE if config.demonstrations else "auto_0.02",
        policy_kwargs={"net_arch": {"pi": list(HIDDEN), "qf": [128, 128]}},
        tensorboard_log=str(folder / "tensorboard") if config.tensorboard else None,
        seed=config.seed,
        device="cpu",
    )
    if config.demonstrations:
        model.learning_starts = 0  # a clone acts better than chance
    model.clone_until = config.steps if config.demonstrations else 0
    return model
