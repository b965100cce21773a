"""PPO of Stable-Baselines3 on a stage of the block task, in the library's own words.

``python docs/examples/train_with_sb3.py 20000 out/ppo`` trains for 20,000 decisions.
``xr0-sim train-rl`` is the command that begins from demonstrations and can be resumed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policies.rl.staged_env import StagedBlocks


def make_envs(first_seed: int, training: bool) -> VecNormalize:
    """One environment of the stage ``reach``, its features and rewards normalised."""
    envs = DummyVecEnv([lambda: Monitor(StagedBlocks("reach", first_seed=first_seed))])
    return VecNormalize(envs, training=training, norm_reward=training)


def main(steps: int, folder: Path, rollout: int = 512) -> tuple[float, float]:
    """Trains, evaluates every 2,000 decisions; returns mean and spread of the final return."""
    envs, held_out = make_envs(7_000_000, True), make_envs(7_500_000, False)
    callbacks = [
        EvalCallback(held_out, eval_freq=2000, n_eval_episodes=10, log_path=str(folder)),
        CheckpointCallback(2000, str(folder / "checkpoints"), save_vecnormalize=True),
    ]
    model = PPO("MlpPolicy", envs, n_steps=rollout, batch_size=64, gamma=0.97, seed=0)
    model.learn(steps, callback=callbacks)
    held_out.obs_rms = envs.obs_rms
    mean, spread = evaluate_policy(model, held_out, n_eval_episodes=2)
    envs.close()
    held_out.close()
    return float(mean), float(spread)


if __name__ == "__main__":
    print(main(int(sys.argv[1]), Path(sys.argv[2])))
