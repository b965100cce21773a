"""A study so small that a test can run it: a policy that only waves, episodes of half a second."""

from pathlib import Path

from experiments.study import Study
from xr0_sim.plugins import load_plugin

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "docs" / "examples" / "my_plugs.py"
FIXED = {"policy": "wave", "max_seconds": 0.5, "n_bricks": 2}
FACTORS = {
    "strategy": ["sync", "eager"],
    "latency": [0, 66],
    "event": ["none", "nudge@tick:4", "nudge:distance_m=0.01@tick:7"],
}
WORDS = [
    *("ablate", "--plugin", str(PLUGIN), "--policy", "wave", "--max-seconds", "0.5"),
    *("--n-bricks", "2", "--factor", "strategy=sync,eager", "--factor", "latency=0,66"),
    *("--factor", "event=none,nudge@tick:4,nudge:distance_m=0.01@tick:7", "--episodes", "3"),
]
"""The same on the command line."""


def small_study(**arguments):
    load_plugin(str(PLUGIN))
    return Study(**{**FIXED, "factors": FACTORS, "seeds": 3, **arguments})
