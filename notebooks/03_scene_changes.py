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
# # Scene changes
#
# While a policy thinks, the world goes on: something is pushed, slips, or means something else
# now. How soon does the robot notice? Here events strike in a phase of the task, or at a place
# within an inference, and every episode has an exact twin in which nothing happened.
#
# `XR0_SIM_NOTEBOOK_SEEDS` says how many scenes every condition gets.

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

import imageio.v3 as iio
import matplotlib.pyplot as plt
import numpy as np

from experiments.study import Study

SEEDS = int(os.environ.get("XR0_SIM_NOTEBOOK_SEEDS", "4"))
WORKERS = os.cpu_count() or 1
out = Path(tempfile.mkdtemp(prefix="xr0_sim_"))

# %% [markdown]
# ## By phase
#
# An event is text: what happens, and when. `shove@phase:reach+0.1s` pushes the bricks a tenth of a
# second after the hands begin to reach for them. Here the trays swap their colours as the bricks
# are pulled apart, and a brick slips out of the hand that carries it. Where the instruction names
# the trays by their side, the swap is a distraction, and no reaction is the right one. A perfect
# planner stands in for the policy, 200 ms behind the world; what delays its answer is the execution
# alone.

# %%
phases = Study(
    "block_dismantling:n_bricks=2",
    policy="oracle",
    strategy="prefix_async",
    latency="200ms",
    factors={
        "phase": {
            "none": {"event": "none"},
            "reach": {"event": "shove@phase:reach+0.1s"},
            "pull": {"event": "swap_bins@phase:pull"},
            "carry": {"event": "drop@phase:carry+0.1s"},
        }
    },
    seeds=SEEDS,
    max_seconds=8 if SEEDS > 2 else 4,
)
phases.run(out / "phases", workers=WORKERS, ticks=True)
phases.plot(["success", "time_to_success_s", "reaction_s"])

# %% [markdown]
# One row an episode. `reaction_s` is the time until the commands show that the robot has noticed,
# `reaction_bound_s` the earliest that the schedule of captures and inferences allowed for this
# very event. An event that found nothing to happen to makes its episode invalid, and says why.

# %%
columns = ["phase", "seed", "outcome", "event_tick", "reaction_s", "reaction_bound_s", "invalid_reason"]
rows = phases.frame()
rows.loc[rows["phase"] != "none", columns].head(12).round(3)

# %% [markdown]
# ## What it looks like
#
# A film runs an episode of the study again, and is kept only if its tick log is the same, bit for
# bit. Above the twin, below the episode that is shoved; the strip at the bottom is the queue of
# actions.

# %%
fired = rows[(rows["phase"] == "reach") & rows["valid"]].iloc[0]
seed, tick = int(fired["seed"]), int(fired["event_tick"])
films = {
    name: iio.imread(phases.film({"phase": phase}, seed, fps=10, size="480x270", insets=False))
    for name, phase in {"undisturbed": "none", "shoved": "reach"}.items()
}

figure, axes = plt.subplots(2, 4, figsize=(12, 4.9), layout="constrained")
for line, (name, frames) in zip(axes, films.items()):
    for axis, after in zip(line, (-3, 6, 15, 30)):
        axis.imshow(frames[min((tick + after) // 3, len(frames) - 1)])  # a frame every three ticks
        axis.set_title(f"{name}, {after / 30:+.2f} s", fontsize=9)
        axis.axis("off")
figure.suptitle(f"seed {seed}, around the shove in tick {tick}", fontsize=11)
plt.show()

# %% [markdown]
# ## Exact twins
#
# Nothing here is sampled twice. Scene, latencies and noise of a seed are fixed, so an episode and
# its twin are equal, bit for bit, up to the event. The first command that differs ends the
# reaction; no statistics are needed to see it.

# %%
log = phases.log({"phase": "reach"}, seed)
twin = phases.log({"phase": "reach"}, seed, twin=True)
same = min(len(log), len(twin))
print("equal before the event:", np.array_equal(log["joint_pos"][:tick], twin["joint_pos"][:tick]))

apart = np.abs(log["action"][:same] - twin["action"][:same]).max(axis=1)
first, last = max(tick - 15, 0), min(tick + 45, same)
time = (np.arange(first, last) - tick) / 30
figure, (above, below) = plt.subplots(2, 1, figsize=(10, 4), sharex=True, layout="constrained")
joint = int(np.argmax(np.ptp(log["action"][first:last, :6] - twin["action"][first:last, :6], axis=0)))
above.plot(time, twin["action"][first:last, joint], color="#888888", label="twin")
above.plot(time, log["action"][first:last, joint], color="#0072b2", label="shoved")
above.set_ylabel(f"left joint {joint + 1} (rad)")
above.legend(frameon=False, loc="upper right")
below.plot(time, apart[first:last], color="#0072b2")
below.set(xlabel="time after the shove (s)", ylabel="largest change\nof a command")
for axis in (above, below):
    axis.axvline(0, color="#b03060", linewidth=1)
    axis.axvline(fired["reaction_bound_s"], color="#e8c66a", linewidth=4)
    axis.axvline(fired["reaction_s"], color="#009e73", linewidth=1)
    axis.spines[["top", "right"]].set_visible(False)
below.set_title("red: shove · yellow: bound · green: reaction", fontsize=9, loc="left")
plt.show()

# %% [markdown]
# Who saw what: an inference that was captured before the shove (grey bar) knows nothing of it, and
# its chunk is executed all the same.

# %%
from xr0_sim.view import timeline_figure

timeline_figure(log, max(tick - 10, 0), min(tick + 25, len(log) - 1), f"seed {seed}, shove in tick {tick}")

# %% [markdown]
# ## By place within an inference
#
# The same shove, moved by a few ticks: right after a capture, in the middle of the prefix, in the
# last tick of the old chunk. What comes right after a capture has to wait longest, since the next
# capture is furthest away. The bound follows: rest of the wait, then one inference.

# %%
places = Study(
    "block_dismantling:n_bricks=2",
    policy="oracle",
    strategy="prefix_async",
    event="shove",
    latency="200ms",
    execution_horizon=12,
    factors={
        "event.trigger": [
            f"inference:{place}#3" for place in ("after_capture", "in_prefix", "before_handover")
        ]
    },
    seeds=SEEDS,
    max_seconds=2.5,
)
places.run(out / "places", workers=WORKERS)
found = places.frame()
found = found[found["valid"]]

figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
names = places.factors["event.trigger"]
at = found["event.trigger"].cat.codes + 0.3 * (found["seed"] / max(SEEDS - 1, 1) - 0.5)
axis.scatter(at, 1e3 * found["reaction_bound_s"], marker="_", s=150, color="#b8860b", label="bound")
axis.scatter(at, 1e3 * found["reaction_s"], s=18, color="#0072b2", label="reaction")
axis.set_xticks(range(len(names)), [name[10:-2].replace("_", " ") for name in names])
axis.set_xlim(-0.5, len(names) - 0.5)
axis.set_ylim(0)
axis.set_ylabel("after the shove (ms)")
axis.grid(axis="y", color="#e6e6e6")
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False, loc="lower left")
plt.show()

# %%
found.assign(over_bound_ms=1e3 * (found["reaction_s"] - found["reaction_bound_s"])).groupby(
    "event.trigger", observed=True
)[["reaction_bound_s", "reaction_s", "over_bound_ms"]].median().round(3)

# %% [markdown]
# A push takes a tenth of a second or two, so that the first capture after its begin may see little
# of it: reactions lie on the bound or above it, never below.
#
# A policy of your own in the same table: `04_bring_your_own_policy`.
