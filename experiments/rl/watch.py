"""What is done beside the steps of a training: evaluations, the best agent, checkpoints."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from experiments.rl.checkpoint import save_checkpoint
from experiments.rl.evaluation import evaluate
from experiments.rl.learner import DemonstratedSAC, exported
from experiments.rl.run_folder import AGENT_FILE, CHECKPOINT_FILE, CURVE_FILE
from policies.rl.staged_env import StagedBlocks

if TYPE_CHECKING:
    from experiments.rl.training import RlTraining

TUNING_SEED = 7_500_000
"""First episode seed of the evaluations."""


class Watch(BaseCallback):
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
        self.counters: dict[str, Any] = {"episodes": 0, "best": [], "next": 0, "cpu_s": 0.0}
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
        point = self.evaluate()
        self.logger.record("eval/success", point["success"])
        self.logger.record("eval/return", point["return"])

    def evaluate(self, **marks: Any) -> dict[str, Any]:
        """A point of the curve, with `marks`; the agent is kept if none was better."""
        count = self._config.evaluation_episodes
        agent = exported(self.model, self._statistics, {**self._record(), **marks})
        rows = evaluate(agent, self._env, range(TUNING_SEED, TUNING_SEED + count))
        success = float(np.mean([row["success"] for row in rows]))
        point = {
            **marks,
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
        self._tell(json.dumps(point))
        if [success, point["return"]] >= self.counters["best"]:
            self.counters["best"] = [success, point["return"]]
            agent.save(self._folder / AGENT_FILE)
        return point

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
