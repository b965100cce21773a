# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First rollout
#
# A vision-language-action policy answers with a *chunk* of future actions, and it needs time to
# think. This notebook looks at what a robot does in the meantime: one task, one perfect planner
# in the place of a policy, three ways to execute its chunks.
#
# `XR0_SIM_NOTEBOOK_ENV` names the task, `block_dismantling` or `towel_folding`, and
# `XR0_SIM_NOTEBOOK_SEEDS` how many scenes are compared at the end.

# %%
# On a fresh machine, Colab's too: installs the package once. Where it is there, nothing happens.
import ctypes.util
import os
import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

if find_spec("xr0_sim") is None:
    wheels = sorted(map(str, Path().glob("xr0_sim-*.whl")))
    source = os.environ.get("XR0_SIM_SOURCE", wheels[-1] if wheels else "")
    if not source:
        sys.exit(
            "xr0_sim is missing: put its wheel beside this notebook, or set XR0_SIM_SOURCE to a "
            "wheel, a folder or a git+https address, and run this cell again"
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
    invalidate_caches()
    if ctypes.util.find_library("EGL") is None:
        packages = ["libegl1", "libgl1-mesa-dri"]
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=True)

# %%
import os
import tempfile
from pathlib import Path

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image

import envs
from envs.tasks import task_spec

TASK = os.environ.get("XR0_SIM_NOTEBOOK_ENV", "block_dismantling")
task = task_spec(TASK)
SEEDS = range(int(os.environ.get("XR0_SIM_NOTEBOOK_SEEDS", "4")))

# %% [markdown]
# ## The task
#
# Two arms take a brick assembly apart – one holds, the other pulls, and every brick goes into the
# tray that the instruction names for its colour – or fold a towel the way it says. Three cameras
# and the instruction are what a policy sees.

# %%
env = gym.make(envs.ENV_IDS[TASK]).unwrapped
env.reset(seed=4)
observation = env.observe()

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for axis, (name, picture) in zip(axes, observation.images.items()):
    axis.imshow(picture)
    axis.set_title(name.replace("_", " "))
    axis.axis("off")
figure.suptitle(f"“{observation.instruction}”", fontsize=11)
plt.show()

# %% [markdown]
# ## A chunk
#
# The scripted expert stands in for a policy. Asked for a chunk, it rehearses the next second in
# the simulator and puts everything back: 30 rows, one per control tick, 14 numbers each – six
# joints and a jaw per arm.

# %%
from policies.scripted.oracle import OracleChunkModel

model = OracleChunkModel(env)
chunk = model.infer(observation, prefix=np.empty((0, 14)), noise_seed=(0, 0))

figure, axis = plt.subplots(figsize=(10, 2.6), layout="constrained")
axis.plot(chunk.actions[:, :6] - chunk.actions[0, :6])
axis.set(xlabel="row of the chunk (1/30 s each)", ylabel="left joints, change (rad)")
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Latency
#
# An inference of 80 ms lasts three control ticks. Nothing is slept: latency is a number on an
# event queue, so the same seed gives the same run on any machine, however busy.
#
# With `PrefixAsync` the robot goes on executing the old chunk while the next one is computed, and
# the actions it will execute meanwhile are handed to the model as a *prefix*: rows of the new
# chunk that are already decided. Grey bars are inferences, hatched frames prefixes, the lowest
# lane is what the robot did, with the age of every action in ticks.

# %%
from envs.plant import EnvPlant
from xr0_sim.record import TickLog
from xr0_sim.view import timeline_figure
from xr0_sim.runtime import Executor, PrefixAsync, parse_latency, run_episode

log = TickLog()
executor = Executor(model, PrefixAsync(), parse_latency("xr0_4090"))
result = run_episode(EnvPlant(env), executor, [log], seed=4, max_ticks=900 if len(SEEDS) > 2 else 120, images=False)
print(result.outcome, f"after {result.duration_s:.1f} s")
timeline_figure(log.table(), 0, 45, "the first one and a half seconds")

# %% [markdown]
# ## Three switch positions
#
# Now the bricks, or the towel, are shoved away while the hands reach for them, and the planner
# draws a new tempo for every chunk, as a sampling policy draws a mode. The same scenes, three
# executors:
#
# - **sync** waits for every inference,
# - **naive async** goes on and swaps plans on arrival, without telling the model,
# - **prefix async** tells it.
#
# On the command line this is `xr0-sim compare --policy expert`.

# %%
from experiments.commands.compare import CompareConfig, draw_study

out = Path(tempfile.mkdtemp(prefix="xr0_sim_"))
seconds = 20 if len(SEEDS) > 2 else 3
config = CompareConfig(
    env=TASK, policy="expert", latency=("0.15s",), max_seconds=seconds, episodes=len(SEEDS)
)
study = config.study().run(out / "positions", workers=os.cpu_count() or 1, ticks=True)
pace = f"{task.pieces}_per_min"
study.table(["success", pace, "hold_share", "seam_position_mean_rad", "tool_jerk_m_s3", "reaction_s"])

# %%
draw_study(study, out / "comparison.png")
Image(str(out / "comparison.png"), width=1000)

# %% [markdown]
# Sync is slow, naive async jerks where plans meet, prefix async is as quick and smooth. With a
# perfect planner that is the executor's doing alone; with a trained policy the prefix can also
# mislead.
#
# ## The trained policy
#
# The same scene seen through three cameras and read from its instruction: a VLM whose key-value
# cache conditions an action expert, 80 ms behind the world. `xr0-sim rollout` films this with its
# queue of actions, and `xr0-sim compare` flips the switches on the trained heads.

# %%
from policies.xr0.loading import load_chunk_model

trained = load_chunk_model(TASK, head="prefix_lambda")
size = trained.image_size
plant = EnvPlant(gym.make(envs.ENV_IDS[TASK], image_size=size, render_mode="rgb_array").unwrapped)


class Film:
    """Keeps a picture of every second."""

    def __init__(self):
        self.frames = []

    def on_reset(self, start):
        self.frames.clear()

    def on_tick(self, sample):
        if sample.record.tick % plant.control_hz == 0:
            self.frames.append(plant.env.render())

    def on_event(self, event):
        pass

    def on_end(self, result):
        self.frames.append(plant.env.render())


film = Film()
strategy = PrefixAsync(execution_horizon=task.execution_horizon)
executor = Executor(trained, strategy, parse_latency("xr0_4090"))
result = run_episode(plant, executor, [film], seed=4, max_ticks=900 if len(SEEDS) > 2 else 150)
print(result.outcome, f"after {result.duration_s:.1f} s")

chosen = np.linspace(0, len(film.frames) - 1, 4).round().astype(int)
figure, axes = plt.subplots(1, 4, figsize=(12, 2.4), layout="constrained")
for axis, k in zip(axes, chosen):
    axis.imshow(film.frames[k])
    axis.set_title("the end" if k == chosen[-1] else f"{k} s")
    axis.axis("off")
plt.show()
