"""LeRobotDataset both ways against stock `lerobot`, in an environment of its own.

::

    python3.12 -m venv .venv-lerobot
    .venv-lerobot/bin/pip install 'lerobot[dataset-viz]==0.6.1'
    .venv-lerobot/bin/pip install .          # for the environment plug-in; its torch stays
    make lerobot-check

A run and a sample store are exported and read by lerobot, drawn by ``lerobot-dataset-viz``,
imported again, and a set that lerobot itself recorded is imported; `lerobot-eval` runs a policy in
a task. Says in one line what was skipped where ``XR0_SIM_LEROBOT_VENV`` (default
``.venv-lerobot``) lacks something.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from envs.tasks import make_env
from experiments.cli import main
from experiments.commands.doors_check import installed_version
from experiments.runner.episode_rows import log_path
from experiments.runner.replay import Replay
from experiments.runner.run_folder import CARD
from experiments.runner.stored_condition import stored_condition
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.record.runcard import read_run_card
from xr0_sim.record.ticklog import read_ticklog

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENV = Path(os.environ.get("XR0_SIM_LEROBOT_VENV", ".venv-lerobot"))
SEED, EPISODES, SIDE = 711, 2, 96
CLOSE = 6.0
"""Largest mean difference of two pictures after two codecs [shades of 255]; chosen."""
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


def stock(folder: Path, script: str, *arguments: object, **variables: str) -> None:
    """Runs a script of this folder, or a command of lerobot, in lerobot's environment."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), **variables}
    if not variables:
        offline.pop("PYTHONPATH", None)
    python = [VENV / "bin" / "python", HERE / script]
    words = python if script.endswith(".py") else [VENV / "bin" / script]
    subprocess.run([*map(str, words), *map(str, arguments)], env=offline, check=True)


def command(*words: object) -> None:
    """Runs a command of this project."""
    assert main([str(word) for word in words]) == 0


def check_run(folder: Path) -> None:
    """A run: exported, read, drawn anew, shown by the viewer."""
    run, root, drawn = folder / "run", folder / "set", folder / "drawn.npz"
    words = "rollout --env block_dismantling:n_bricks=2 --policy oracle --no-video"
    words += f" --episodes {EPISODES} --seed {SEED} --event teleport@tick:9 --max-seconds 1"
    command(*words.split(), "--out", run)
    command("dataset", "export", run, "--out", root, "--image-size", SIDE)
    draw(run, drawn)
    stock(folder, "lerobot_reader.py", root, run, drawn)
    if not installed_version(VENV, "rerun_sdk"):
        print("lerobot-dataset-viz skipped: no rerun-sdk; install 'lerobot[dataset-viz]'")
        return
    words = f"--repo-id local/check --root {root} --episode-index 1 --save 1 --num-workers 0"
    stock(folder, "lerobot-dataset-viz", *words.split(), "--output-dir", folder / "viz")
    (shown,) = (folder / "viz").glob("*.rrd")
    print(f"lerobot-dataset-viz: {shown.name}, {shown.stat().st_size / 1e6:.1f} MB")


def check_store(folder: Path) -> None:
    """A sample store: exported, read, and back as it was."""
    made, root, back = folder / "store", folder / "samples", folder / "back"
    words = f"collect --n-bricks 2 --episodes 1 --seed {SEED} --image-size {SIDE} --workers 1"
    command(*words.split(), "--event-share", 0, "--out", made)
    command("dataset", "export", made, "--out", root)
    command("dataset", "import", root, "--out", back)
    store, again = ChunkStore(made), ChunkStore(back)
    for name in store.meta.fields():
        if name != "images":
            assert np.array_equal(store.column(name), again.column(name)), name
    columns = {name: store.column(name) for name in ("tool_quat", "joint_vel", "valid_steps")}
    columns |= {"action_chunk": store.column("actions"), "grounding": store.column("grounding")}
    np.savez(folder / "store.npz", **columns)
    stock(folder, "lerobot_samples.py", root, folder / "store.npz")


def check_import(folder: Path) -> None:
    """The set of the run, and the same frames recorded by lerobot, become the same samples."""
    stock(folder, "lerobot_writer.py", folder / "set", folder / "recorded")
    command("dataset", "import", folder / "set", "--out", folder / "ours", "--stride", 4)
    task = ("--env", "block_dismantling:n_bricks=2")
    command(
        "dataset", "import", folder / "recorded", "--out", folder / "theirs", "--stride", 4, *task
    )
    ours, theirs = ChunkStore(folder / "ours"), ChunkStore(folder / "theirs")
    for name in ("joint_pos", "jaw", "actions", "action_tools", "valid_steps", "tick"):
        assert np.array_equal(ours.column(name), theirs.column(name)), name
    every = np.arange(len(ours))
    loss = np.abs(ours.images(every).astype(int) - theirs.images(every)).mean((1, 2, 3, 4))
    assert loss.max() < CLOSE, loss
    print(
        f"a set that lerobot recorded: {len(theirs)} samples equal ours, pictures differ by "
        f"{loss.max():.2f} of 255 shades at most"
    )


def check_env(folder: Path) -> None:
    """A policy of lerobot in a task of ours, found by the name of its distribution."""
    if not installed_version(VENV, "mujoco"):
        print(f"lerobot-eval skipped: no xr0-sim in {VENV}; see the top of {Path(__file__).name}")
        return
    home = folder / "installed"
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "-q", "--no-deps"]
    pip.append("--no-build-isolation")
    for source in (".", "distributions/lerobot_env_xr0_sim"):
        # Copies: setuptools builds in the folder that it is given.
        copy = folder / "sources" / Path(source).name
        ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "out", "runs", "data")
        shutil.copytree(ROOT / source, copy, ignore=ignored)
        subprocess.run([*pip, "--target", str(home), str(copy)], check=True)
    stock(folder, "lerobot_env.py", folder / "set", folder / "eval", SIDE, PYTHONPATH=str(home))


def check() -> int:
    """All of it; the exit status."""
    python = VENV / "bin" / "python"
    if not python.exists():
        print(f"lerobot check skipped: no {python}; see the top of {Path(__file__).name}")
        return 0
    with tempfile.TemporaryDirectory() as name:
        for step in (check_run, check_store, check_import, check_env):
            began = time.perf_counter()
            step(Path(name))
            print(f"{step.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(check())
