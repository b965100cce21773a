"""Trains an agent on a stage: demonstrations, a clone, then soft actor-critic; resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from experiments.rl.checkpoint import load_checkpoint, save_checkpoint
from experiments.rl.demonstrations import Demonstrations, demonstrate, load_demonstrations
from experiments.rl.evaluation import evaluate
from experiments.rl.learner import (
    DemonstratedSAC,
    HalfDemonstrated,
    NormedPolicy,
    exported,
    feature_statistics,
)
from policies.rl.staged_env import StagedBlocks
from xr0_sim.atomic import remove_partials, write_bytes, write_json
from xr0_sim.errors import ConfigError

TRAIN_SEED, DEMO_SEED, TUNING_SEED = 7_000_000, 7_400_000, 7_500_000
"""First episode seeds of training, of demonstrations and of the evaluations in between."""
AGENT_FILE, CHECKPOINT_FILE, CURVE_FILE = (
    "agent.safetensors",
    "checkpoint.safetensors",
    "curve.jsonl",
)
CONFIG_FILE, DEMO_FILE = "config.json", "demonstrations.safetensors"
GAMMA = 0.97
BATCH = 256
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
        clone_steps: Gradient steps of the clone before the agent acts.
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
    demonstrations: int = 120
    clone_steps: int = 3000
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
    _claim(config, folder)
    shown = _demonstrations(config, folder, say)
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
    buffer.demonstrations, buffer.rng = shown, np.random.default_rng(config.seed)
    watch = _Watch(config, folder, statistics, say)
    watch.model = model
    checkpoint = folder / CHECKPOINT_FILE
    if checkpoint.is_file():
        watch.counters = load_checkpoint(checkpoint, model, statistics)
        buffer.rng = np.random.default_rng([config.seed, model.num_timesteps])
        env.rewind(watch.counters["episodes"])
        _cut_curve(folder, model.num_timesteps)
        say(f"goes on after {model.num_timesteps} of {config.steps} decisions")
    elif shown is not None:
        feature_statistics(statistics).update(shown.features)
        loss = model.clone(config.clone_steps, BATCH)
        model.settle_critics(config.clone_steps, BATCH)
        say(f"clone: mean squared error {loss:.4f} of a decision")
    try:
        if model.num_timesteps < config.steps:
            model.learn(
                config.steps - model.num_timesteps,
                callback=watch,
                reset_num_timesteps=False,
                tb_log_name=config.stage,
                log_interval=10,
            )
    except KeyboardInterrupt:
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
        policy_kwargs={"net_arch": {"pi": [128, 128], "qf": [128, 128]}},
        tensorboard_log=str(folder / "tensorboard") if config.tensorboard else None,
        seed=config.seed,
        device="cpu",
    )
    if config.demonstrations:
        model.learning_starts = 0  # a clone acts better than chance
    model.clone_until = config.steps if config.demonstrations else 0
    return model


def _demonstrations(
    config: RlTraining, folder: Path, say: Callable[[str], None]
) -> Demonstrations | None:
    if not config.demonstrations:
        return None
    path = folder / DEMO_FILE
    if not path.is_file():
        env = StagedBlocks(config.stage, **config.env_kwargs)
        rng = np.random.default_rng(config.seed)
        demonstrate(env, DEMO_SEED, config.demonstrations, rng, say).save(path)
        env.close()
    return load_demonstrations(path)


def _claim(config: RlTraining, folder: Path) -> None:
    """Notes the options in a new folder, or compares them with those of an old one."""
    path = folder / CONFIG_FILE
    options = json.loads(json.dumps(asdict(config)))
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            known = None
        if not isinstance(known, dict):
            raise ConfigError(f"{path}: expected the options of a training; use another folder")
        other = [k for k, v in options.items() if k not in FREE and known.get(k) != v]
        if other:
            raise ConfigError(
                f"{folder}: expected a training with the same options, got other "
                f"{', '.join(other)}; use another --out"
            )
        remove_partials(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: expected an empty folder or a training of this command")
    write_json(path, options)


def _cut_curve(folder: Path, steps: int) -> None:
    """Drops points of the curve that lie after the checkpoint."""
    path = folder / CURVE_FILE
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n")]
        kept = [line for line in kept if json.loads(line)["decisions"] <= steps]
        write_bytes(path, "".join(kept).encode())


class _Watch(BaseCallback):
    """Evaluates, keeps the best agent, and writes checkpoints."""

    model: DemonstratedSAC

    def __init__(
        self,
        config: RlTraining,
        folder: Path,
        statistics: VecNormalize,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._config, self._folder, self._statistics = config, folder, statistics
        self._tell = say
        self._env = StagedBlocks(config.stage, **config.env_kwargs)
        self._saved = time.monotonic()
        self.counters: dict[str, Any] = {"episodes": 0, "best": -1.0, "next": 0, "cpu_s": 0.0}
        self._cpu = time.process_time()
        self._recent: list[bool] = []

    def _on_step(self) -> bool:
        for done, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            if done:
                self.counters["episodes"] += 1
                self._recent = [*self._recent[-49:], bool(info["is_success"])]
                self.logger.record("rollout/success_of_50", float(np.mean(self._recent)))
        if self.num_timesteps > self.counters["next"]:
            self.counters["next"] += self._config.evaluate_every
            self._evaluate()
        if time.monotonic() - self._saved > self._config.save_seconds:
            self.keep()
        return True

    def _on_training_end(self) -> None:
        self._evaluate()

    def _evaluate(self) -> None:
        count = self._config.evaluation_episodes
        agent = exported(self.model, self._statistics, self._record())
        rows = evaluate(agent, self._env, range(TUNING_SEED, TUNING_SEED + count))
        success = float(np.mean([row["success"] for row in rows]))
        point = {
            "decisions": self.num_timesteps,
            "episodes": self.counters["episodes"],
            "cpu_s": round(self._spent(), 1),
            "success": success,
            "n": count,
            "return": round(float(np.mean([row["return"] for row in rows])), 3),
            "exploring_success": round(float(np.mean(self._recent)), 3) if self._recent else None,
        }
        with (self._folder / CURVE_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        self.logger.record("eval/success", success)
        self.logger.record("eval/return", point["return"])
        self._tell(json.dumps(point))
        if success >= self.counters["best"]:
            self.counters["best"] = success
            agent.save(self._folder / AGENT_FILE)

    def _record(self) -> dict[str, Any]:
        from xr0_sim.record.runcard import source_commit

        return {
            **asdict(self._config),
            "decisions": self.num_timesteps,
            "cpu_s": round(self._spent(), 1),
            "commit": source_commit(),
        }

    def _spent(self) -> float:
        return self.counters["cpu_s"] + time.process_time() - self._cpu

    def keep(self) -> None:
        """Writes the checkpoint."""
        counters = {**self.counters, "cpu_s": self._spent()}
        save_checkpoint(self._folder / CHECKPOINT_FILE, self.model, self._statistics, counters)
        self._saved = time.monotonic()

    def close(self) -> None:
        """Frees the environment of the evaluations."""
        self._env.close()
