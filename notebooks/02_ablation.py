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
# # Ablation
#
# What does a switch of a real-time policy do, and is the difference more than luck? A *study* runs
# the same seeds under every combination of some factors, so that episodes of equal seeds are
# pairs: same scene, same latencies, same noise.
#
# `XR0_SIM_NOTEBOOK_ENV` names the task, `XR0_SIM_NOTEBOOK_SEEDS` how many seeds every condition
# gets. With two of them almost nothing is resolved, and the sentences below say so.

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

from experiments.study import Study

TASK = os.environ.get("XR0_SIM_NOTEBOOK_ENV", "block_dismantling")
SEEDS = int(os.environ.get("XR0_SIM_NOTEBOOK_SEEDS", "20"))
WORKERS = os.cpu_count() or 1
EASY = {"block_dismantling": "block_dismantling:n_bricks=2"}
out = Path(tempfile.mkdtemp(prefix="xr0_sim_"))

# %% [markdown]
# ## Strategy × latency × event
#
# A perfect planner stands in for the policy. It draws a new tempo for every chunk, as a sampling
# policy draws a mode, so chunks disagree where they meet. Three execution strategies, two
# latencies, with and without a shove in mid-motion: twelve conditions. A run with a shove goes on
# from its undisturbed twin, in the tick in which the shove is due.

# %%
study = Study(
    EASY.get(TASK, TASK),
    policy="oracle_random_speed",
    factors={
        "strategy": ["sync", "naive_async", "prefix_async"],
        "latency": [80, 200],
        "event": ["none", "shove"],
    },
    seeds=SEEDS,
    max_seconds=10 if SEEDS > 2 else 3,
)
study.run(out / "strategies", workers=WORKERS)
study.plot()

# %% [markdown]
# One row an episode, for questions of your own:

# %%
study.frame()[["strategy", "latency", "event", "seed", "success", "hold_share", "tool_jerk_m_s3"]].head()

# %% [markdown]
# ## What is resolved, and what is not
#
# Every level against its factor's reference, pair by pair: success with the interval of Agresti
# and Min and McNemar's exact test, times as restricted means (a failure counts as the whole
# limit), reactions as medians in which what never came is slower than all others. P-values are
# corrected by Holm among all comparisons of an outcome. What is not resolved is not ranked; the
# number of seeds that would resolve it stands beside it.

# %%
effects = study.effects()
print(*effects.sentences(), sep="\n")

# %% [markdown]
# Does the latency cost one strategy more than another? That is an interaction: the difference of
# two differences.

# %%
columns = ["outcome", "factor", "level", "value", "low", "high", "n", "p_holm", "state"]
crossed = effects.frame().query("kind == 'interaction'")[columns]
crossed[crossed["outcome"].isin(["success", "hold_share", "tool_jerk_m_s3"])].round(3)

# %% [markdown]
# ## The table
#
# Estimates with 95 % intervals, n and invalid episodes beside them. `.save("table.tex")`, `.csv`,
# `.md` and `.txt` export it.

# %%
table = study.table(["success", "time_to_success_s", "tool_jerk_m_s3", "reaction_s"])
table.save(out / "table.tex")
table

# %% [markdown]
# ## Prefix length × Λ window
#
# The same with a trained policy, in the world it was trained in: how many rows of the new chunk are
# already decided, and how far back its action tokens may look. On the command line:
#
# `xr0-sim ablate --world 0.1 --policy xr0 --head prefix_lambda --strategy prefix_async --factor window=1,4`
# `--factor prefix_steps=3,6 --latency 80ms --event none`

# %%
trained = Study(
    f"{TASK}:world=0.1",
    policy="xr0",
    head="prefix_lambda",
    strategy="prefix_async",
    latency="80ms",
    event="none",
    factors={"prefix_steps": [3, 6], "window": [1, 4]},
    seeds=SEEDS,
    max_seconds=6 if SEEDS > 2 else 2,
)
trained.run(out / "windows", workers=WORKERS)
trained.table(["success", "progress", "seam_position_mean_rad", "tool_jerk_m_s3"])

# %%
print(*trained.effects(["seam_position_mean_rad", "tool_jerk_m_s3"]).sentences(), sep="\n")

# %% [markdown]
# ## One page
#
# Everything above as one file that needs no network, for the phone of a co-author.

# %%
page = study.report(out / "report.html")
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB")
