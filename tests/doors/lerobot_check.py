"""A run, exported, and read by stock `lerobot` in an environment of its own.

::

    python3.12 -m venv .venv-lerobot && .venv-lerobot/bin/pip install 'lerobot[dataset]==0.6.1'
    make lerobot-check

Says in one line that it was skipped where ``XR0_SIM_LEROBOT_VENV`` (default ``.venv-lerobot``)
holds no such environment; lerobot cannot be installed beside this project's own versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from envs.tasks import make_env
from experiments.cli import main
from experiments.runner.episode_rows import log_path
from experiments.runner.replay import Replay
from experiments.runner.run_folder import CARD
from experiments.runner.stored_condition import stored_condition
from xr0_sim.record.runcard import read_run_card
from xr0_sim.record.ticklog import read_ticklog

READER = Path(__file__).with_name("lerobot_reader.py")
VENV = Path(os.environ.get("XR0_SIM_LEROBOT_VENV", ".venv-lerobot"))
SEED, EPISODES, SIDE = 711, 2, 96
TICKS = (0, 10, 29)
"""Ticks whose pictures are compared; the event comes in tick 9."""


def draw(run: Path, out: Path) -> None:
    """Pictures of some ticks, drawn anew; keys are ``EPISODE TICK FEATURE``."""
    condition = stored_condition(read_run_card(run / CARD)["config"], str(run))
    env = make_env(condition.env, image_size=SIDE, **condition.env_kwargs)
    pictures = {}
    for episode in range(EPISODES):
        table = read_ticklog(log_path(run, SEED + episode))
        for tick in Replay(env, SEED + episode, condition.events, table).ticks():
            if tick in TICKS:
                for camera, picture in env.observe(images=True).images.items():
                    pictures[f"{episode} {tick} observation.images.{camera}"] = picture
    env.close()
    np.savez(out, **pictures)


def check() -> int:
    """Runs, exports, draws, and lets lerobot read; the exit status."""
    python = VENV / "bin" / "python"
    if not python.exists():
        print(f"lerobot check skipped: no {python}; see the top of {Path(__file__).name}")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, root, drawn = folder / "run", folder / "set", folder / "drawn.npz"
        words = "rollout --env block_dismantling:n_bricks=2 --policy oracle --no-video"
        words += f" --episodes {EPISODES} --seed {SEED} --event teleport@tick:9 --max-seconds 1"
        assert main([*words.split(), "--out", str(run)]) == 0
        words = f"dataset export {run} --out {root} --image-size {SIDE}"
        assert main(words.split()) == 0
        draw(run, drawn)
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
        offline.pop("PYTHONPATH", None)
        done = subprocess.run([python, READER, root, run, drawn], env=offline)
        return done.returncode


if __name__ == "__main__":
    sys.exit(check())
