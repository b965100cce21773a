"""Stock `lerobot-eval` runs a policy in these tasks; part of `lerobot_check.py`, which starts it.

Needs this package and ``lerobot_env_xr0_sim`` in lerobot's environment. An action-chunking
transformer (ACT) with random weights gets its shapes and statistics from an exported set; what is
shown is that its episode runs without an adapter between set, policy and environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lerobot.datasets.lerobot_dataset import LeRobotDatasetMetadata
from lerobot.envs.configs import EnvConfig
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.factory import make_policy, make_pre_post_processors
from lerobot.utils.import_utils import register_third_party_plugins

TASK = "block_dismantling:n_bricks=2"
TICKS, SEED = 12, 711


def make_checkpoint(root: Path, folder: Path) -> None:
    """A policy made for the set, with its processors."""
    meta = LeRobotDatasetMetadata("local/check", root=root)
    config = ACTConfig(
        pretrained_backbone_weights=None,
        device="cpu",
        dim_model=64,
        n_heads=4,
        dim_feedforward=128,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        chunk_size=10,
        n_action_steps=10,
        push_to_hub=False,
    )
    policy = make_policy(config, ds_meta=meta)
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=meta.stats):
        processor.save_pretrained(folder)


def main(root: Path, out: Path, side: str) -> None:
    register_third_party_plugins()
    assert "xr0_sim" in EnvConfig.get_known_choices(), "lerobot did not find lerobot_env_xr0_sim"
    make_checkpoint(root, out / "policy")
    words = [str(Path(sys.executable).parent / "lerobot-eval"), f"--policy.path={out / 'policy'}"]
    words += ["--policy.device=cpu", "--env.type=xr0_sim", f"--env.task={TASK}"]
    words += [f"--env.image_size={side}", f"--env.episode_length={TICKS}", f"--seed={SEED}"]
    words += ["--eval.n_episodes=2", "--eval.batch_size=1", f"--output_dir={out / 'eval'}"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads((out / "eval" / "eval_info.json").read_text())["overall"]
    assert told["n_episodes"] == 2 and told["video_paths"], told
    print(f"lerobot-eval: {told['n_episodes']} episodes in {TASK}, {told['eval_ep_s']:.1f} s each")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
