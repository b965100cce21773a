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
# # Bring your own policy
#
# A plain PyTorch network becomes a policy that every command, study and worker knows, an event of
# its own beside it, and the table is the one that shipped policies get. The network is small, reads
# the state of the scene instead of pictures, and learns here from a few episodes of a scripted
# expert. That is too little to sort bricks, and the table will say so; it is enough to see what the
# execution does to a policy's chunks.
#
# `XR0_SIM_NOTEBOOK_SEEDS` says how many scenes every condition gets, and with them how long is
# trained.

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
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from envs.tasks import make_env
from policies.scripted.experts import make_expert

SEEDS = int(os.environ.get("XR0_SIM_NOTEBOOK_SEEDS", "4"))
WORKERS = os.cpu_count() or 1
out = Path(tempfile.mkdtemp(prefix="xr0_sim_"))
os.chdir(out)
sys.path.insert(0, str(out))  # worker processes import from here

# %% [markdown]
# ## One file
#
# A *plug-in* is a file that registers something when it is imported. This one has a network, the
# chunk model around it – `horizon`, `reset`, `infer` – and a name for the command line. The next
# cell writes it, so that worker processes can import it too.
#
# The network gets the rows that are already decided, the *prefix*, as an input, and answers with
# all 30 rows as changes of the present command.

# %%
# %%writefile my_policy.py
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from policies.table import PolicySpec
from xr0_sim.registry import policies
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind
from xr0_sim.types import ActionChunk

HORIZON, PREFIX = 30, 6


def features(observation):
    """State of robot and scene as one vector; bricks also as the hands see them."""
    robot, scene = observation.robot, observation.privileged
    to_bricks = scene.pos[None] - robot.tool_pos[:, None]
    parts = (robot.command, robot.joint_pos, robot.jaw, robot.tool_pos, robot.tool_quat, to_bricks)
    return np.concatenate([*(np.ravel(part) for part in parts), scene.to_vector()])


class Net(nn.Module):
    def __init__(self, width, hidden=256):
        super().__init__()
        for name, size in {"in_mean": width, "in_std": width, "out_std": HORIZON * 14}.items():
            self.register_buffer(name, torch.ones(size))
        inputs = width + PREFIX * 15  # every prefix row has a flag: it is there
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, HORIZON * 14),
        )

    def forward(self, state, changes, given):
        """States (B, width), rows as changes (B, 30, 14), prefix lengths (B,) -> (B, 30, 14)."""
        there = (torch.arange(PREFIX) < given[:, None]).float()[..., None]
        rows = changes[:, :PREFIX] / self.out_std.view(HORIZON, 14)[:PREFIX] * there
        state = ((state - self.in_mean) / self.in_std).clamp(-4, 4)  # nothing it has never seen
        told = torch.cat([state, rows.flatten(1), there.flatten(1)], dim=1)
        return (self.layers(told) * self.out_std).view(-1, HORIZON, 14)


class MyChunkModel:
    horizon = HORIZON
    needs_images = False
    capabilities = frozenset({"prefix"})

    def __init__(self, net):
        self.net = net

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        command = observation.robot.command
        changes = np.zeros((HORIZON, 14))
        changes[: len(prefix)] = prefix - command
        given = min(len(prefix), PREFIX)
        state = torch.tensor(features(observation), dtype=torch.float32)[None]
        with torch.no_grad():
            rows = self.net(state, torch.tensor(changes, dtype=torch.float32)[None], torch.tensor([given]))
        actions = command + rows[0].double().numpy()
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, observation.tick)


@policies.register("my_policy", "own: a plain network, trained for a minute")
@dataclass(frozen=True)
class MyPolicy(PolicySpec):
    looks: ClassVar[bool] = False

    weights: str = "my_policy.pt"

    def bind(self, env):
        torch.set_num_threads(1)
        stored = torch.load(self.weights)
        net = Net(len(stored["in_mean"]))
        net.load_state_dict(stored)
        return MyChunkModel(net)


@event_kind("nudge")
@dataclass(frozen=True)
class Nudge(Event):
    """The bricks jump along y by `distance_m`."""

    distance_m: float = 0.03

    def apply(self, scene, rng):
        sign = float(rng.choice([-1.0, 1.0]))
        shift = np.array([0.0, sign * self.distance_m, 0.0])
        scene.displace(scene.largest_cluster(), shift, 0.0)
        return {"sign": sign}

# %% [markdown]
# ## What it learns from
#
# The expert has no memory: its next action follows from the state. A little noise on what is
# executed, but not on what is learned, shows the network the way back. Every tick gives a state and
# the next 30 commands, taken as changes of the present one.

# %%
from my_policy import HORIZON, PREFIX, Net, features

env = make_env("block_dismantling", n_bricks=2)
expert = make_expert(env)
rng = np.random.default_rng(0)
states, changes = [], []
for number in range(4 * SEEDS):
    env.reset(seed=20_000 + number)  # not the seeds that are measured below
    seen, commands, actions, ended = [], [], [], False
    while not ended and len(actions) < 300:
        observation = env.observe(images=False)
        action = expert.action(observation.robot, observation.privileged)
        seen.append(features(observation))
        commands.append(observation.robot.command)
        actions.append(action)
        noisy = action + np.where(rng.random() < 0.5, 0.01, 0.0) * rng.normal(size=14)
        noisy[[6, 13]] = action[[6, 13]]
        _, terminated, truncated, _ = env.advance(noisy)
        ended = terminated or truncated
    ahead = np.minimum(np.arange(len(actions))[:, None] + np.arange(HORIZON), len(actions) - 1)
    states.append(np.array(seen))
    changes.append(np.array(actions)[ahead] - np.array(commands)[:, None])
states = torch.tensor(np.concatenate(states), dtype=torch.float32)
changes = torch.tensor(np.concatenate(changes), dtype=torch.float32)
print(f"{len(states)} states of {4 * SEEDS} episodes")

# %% [markdown]
# ## Training
#
# Prefix lengths are drawn at random, and the rows of the prefix cost nothing: the network learns
# to go on from whatever it is given.

# %%
torch.manual_seed(0)
torch.set_num_threads(1)
net = Net(states.shape[1])
net.in_mean, net.in_std = states.mean(0), states.std(0) + 1e-3
net.out_std = changes.flatten(1).std(0) + 1e-3
steps = 300 * SEEDS
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
losses = []
for step in range(steps):
    batch = torch.randint(len(states), (256,))
    given = torch.randint(0, PREFIX + 1, (256,))
    errors = (net(states[batch], changes[batch], given) - changes[batch]).flatten(1) / net.out_std
    counted = (torch.arange(HORIZON) >= given[:, None]).float().repeat_interleave(14, dim=1)
    loss = (errors.square() * counted).sum() / counted.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
torch.save(net.state_dict(), "my_policy.pt")

figure, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
axis.semilogy(losses, linewidth=0.8)
axis.set(xlabel="step", ylabel="squared error (of its spread)")
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## The same table
#
# From here on it is a policy like any other. On the command line:
#
# `xr0-sim ablate --plugin my_policy.py --policy my_policy --factor strategy=sync,naive_async,prefix_async`
# `--factor latency=80,200 --factor "event=none;nudge@phase:reach+0.1s" --n-bricks 2`

# %%
from experiments.study import Study
from xr0_sim.plugins import load_plugin

load_plugin("my_policy")
study = Study(
    "block_dismantling:n_bricks=2",
    policy=f"my_policy:weights={out / 'my_policy.pt'}",
    factors={
        "strategy": ["sync", "naive_async", "prefix_async"],
        "latency": [80, 200],
        "event": ["none", "nudge@phase:reach+0.1s"],
    },
    seeds=SEEDS,
    max_seconds=6 if SEEDS > 2 else 3,
)
study.run(out / "study", workers=WORKERS)
study.plot(["success", "progress", "seam_position_mean_rad", "tool_jerk_m_s3", "reaction_s"])

# %%
table = study.table(["success", "progress", "seam_position_mean_rad", "tool_jerk_m_s3", "reaction_s"])
table.save(out / "table.tex")
table

# %%
print(*study.effects(["success", "seam_position_mean_rad", "tool_jerk_m_s3"]).sentences(), sep="\n")

# %% [markdown]
# The card of the study names the plug-in with a digest of its file, and the rows can be run again
# by anybody who has both files: `xr0-sim verify FOLDER --plugin my_policy.py`.

# %%
study.card["plugins"]
