"""What the block task says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.control_rate import check_rate, rate_words
from envs.task_spec import BenchTargets, EnvKwargs, MetricColumn, TaskSpec
from envs.world import find_world
from xr0_sim.conventions import CONTROL_HZ

SECONDS_PER_BRICK = 10.0
SHORTEST_LIMIT_S = 40.0
STEP_RATIO_TARGET = 1.15
"""Largest cost of a step over its physics."""
PICTURES_TARGET = 2.0
"""Real-time factor to reach with pictures."""


def time_limit_s(env_kwargs: EnvKwargs) -> float:
    """Time limit [simulated s]: so much for every brick, and not less than the shortest."""
    return max(SHORTEST_LIMIT_S, SECONDS_PER_BRICK * env_kwargs["n_bricks"])


def _check(env_kwargs: EnvKwargs) -> None:
    from envs.block_dismantling.assembly import Level

    check_rate(env_kwargs["control_hz"], find_world(env_kwargs["world"]))
    Level(env_kwargs["n_bricks"], env_kwargs["layout"])


def _words(env_kwargs: EnvKwargs) -> str:
    layout = "" if env_kwargs["layout"] == "random" else f", {env_kwargs['layout']}"
    return f"{env_kwargs['n_bricks']} bricks{layout}{rate_words(env_kwargs)}"


def _sorted_bricks(info: Mapping[str, Any]) -> int:
    return info["bricks"].count("sorted")


def _bench(env_kwargs: EnvKwargs) -> BenchTargets:
    del env_kwargs
    return BenchTargets(step_ratio=STEP_RATIO_TARGET, pictures=PICTURES_TARGET)


SPEC = TaskSpec(
    env="envs.block_dismantling.env:BlockDismantlingEnv",
    env_kwargs={"n_bricks": 2, "layout": "random", "control_hz": CONTROL_HZ},
    check=_check,
    words=_words,
    time_limit_s=time_limit_s,
    pieces="bricks",
    count=_sorted_bricks,
    events="envs.block_dismantling.events",
    figures={"drops": "drops", "peak_contact_force": "peak_contact_force_n"},
    columns=(MetricColumn("bricks_per_min", "bricks/min", 1.0, "sorted per simulated minute"),),
    bench=_bench,
    expert="policies.scripted.blocks.expert:BlockExpert",
    supervision="policies.supervision.blocks:block_lesson",
    # Measured best in the search that ``experiments/LOG.md`` records.
    execution_horizon=20,
    gym_id="xr0_sim/BlockDismantling-v0",
)
