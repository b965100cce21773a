"""What the towel task says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.control_rate import check_rate, rate_words
from envs.task_spec import BenchTargets, EnvKwargs, MetricColumn, TaskSpec
from envs.world import find_world
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import unknown_name

TIME_LIMIT_S = {"half": 40.0, "quarter": 60.0, "flatten": 60.0, "full": 120.0}
"""Time limit by level; two minutes for the whole task are the paper's cut-off."""
CONTINUOUS_LIMIT_S = 600.0
PHYSICS_TARGETS = {9: 5.0, 13: 2.5, 17: 1.3}
"""Real-time factors to reach, by mass points along a side."""
PICTURES_TARGETS = {13: 1.5}
"""The same with pictures."""


def time_limit_s(env_kwargs: EnvKwargs) -> float:
    """Time limit [simulated s] of a level, or of continuous folding."""
    return CONTINUOUS_LIMIT_S if env_kwargs["continuous"] else TIME_LIMIT_S[env_kwargs["level"]]


def _check(env_kwargs: EnvKwargs) -> None:
    from envs.towel_folding.cloth import ClothConfig
    from envs.towel_folding.grasp_assist import GRASPS
    from envs.towel_folding.instructions import Level
    from envs.towel_folding.material import find_material

    check_rate(env_kwargs["control_hz"], find_world(env_kwargs["world"]))
    if env_kwargs["material"]:
        find_material(env_kwargs["material"])
    Level(env_kwargs["level"])
    ClothConfig(env_kwargs["grid"])
    if env_kwargs["grasp"] not in GRASPS:
        raise unknown_name("grasp", str(env_kwargs["grasp"]), GRASPS)


def _words(env_kwargs: EnvKwargs) -> str:
    level, grid = env_kwargs["level"], env_kwargs["grid"]
    assist = ", grasp assist" if env_kwargs["grasp"] == "assist" else ""
    material = env_kwargs["material"]
    made_of = f", {material} cloth" if material else ""
    going_on = ", continuous" if env_kwargs["continuous"] else ""
    rate = rate_words(env_kwargs)
    return f"level {level}, {grid} × {grid} points{assist}{made_of}{going_on}{rate}"


def _folded_towels(info: Mapping[str, Any]) -> int:
    return info["towels"][0] if "towels" in info else int(info["success"])


def _bench(env_kwargs: EnvKwargs) -> BenchTargets:
    grid = env_kwargs["grid"]
    return BenchTargets(physics=PHYSICS_TARGETS.get(grid), pictures=PICTURES_TARGETS.get(grid))


SPEC = TaskSpec(
    env="envs.towel_folding.env:TowelFoldingEnv",
    env_kwargs={
        "level": "half",
        "grid": 13,
        "grasp": "friction",
        "material": "",
        "continuous": False,
        "control_hz": CONTROL_HZ,
    },
    check=_check,
    words=_words,
    time_limit_s=time_limit_s,
    pieces="towels",
    count=_folded_towels,
    events="envs.towel_folding.events",
    event_aliases={
        "shove": "towel_shove",
        "teleport": "towel_teleport",
        "drift": "towel_drift",
    },
    figures={name: name for name in ("failed_grasps", "crossings", "strain_max")},
    columns=(MetricColumn("towels_per_min", "towels/min", 1.0, "folded per simulated minute"),),
    bench=_bench,
    expert="policies.scripted.towel.expert:TowelExpert",
    supervision="policies.supervision.towel:towel_lesson",
    # Measured best in the search that ``experiments/LOG.md`` records.
    execution_horizon=8,
    gym_id="xr0_sim/TowelFolding-v0",
)
