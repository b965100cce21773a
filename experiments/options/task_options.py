"""How hard a task is made: its level, as options that all commands share.

A level is a plain mapping with the arguments of the environment, so that run cards and worker
processes carry it as it is. Options of another task are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from xr0_sim.errors import ConfigError, unknown_name

SECONDS_PER_BRICK = 10.0
SHORTEST_LIMIT_S = 40.0
CONTINUOUS_LIMIT_S = 600.0
TOWEL_LIMIT_S = {"half": 40.0, "quarter": 60.0, "flatten": 60.0, "full": 120.0}
"""Time limits of towel folding; two minutes for the whole task are the paper's cut-off."""


@dataclass(frozen=True)
class LevelOptions:
    """Options of the task's level; those of another task are refused.

    Attributes:
        n_bricks: Bricks in the assembly; default 2 (block_dismantling).
        layout: random, layered or mixed; default random (block_dismantling).
        level: half, quarter, flatten or full; default half (towel_folding).
        grid: Mass points along a side: 9, 13 or 17; default 13 (towel_folding).
        grasp: friction, or assist, which ties what is pinched to the hand; default friction
            (towel_folding).
        continuous: Another towel follows each one, with two minutes for each (towel_folding).
    """

    n_bricks: int | None = None
    layout: str | None = None
    level: str | None = None
    grid: int | None = None
    grasp: str | None = None
    continuous: bool = False

    def level_of(self, env: str) -> dict[str, Any]:
        """Level of a task that these options stand for, defaults filled in."""
        if env not in LEVELS:
            raise unknown_name("env", env, LEVELS)
        kind = LEVELS[env]
        asked = {f.name: getattr(self, f.name) for f in fields(LevelOptions)}
        asked = {n: value for n, value in asked.items() if value is not None and value is not False}
        for name in asked:
            if name not in kind.defaults:
                option = f"--{name.replace('_', '-')}"
                takes = ", ".join(f"--{known.replace('_', '-')}" for known in kind.defaults)
                raise ConfigError(f"{option}: env {env!r} has no such option; it takes {takes}")
        level = {**kind.defaults, **asked}
        kind.check(level)
        return level


@dataclass(frozen=True)
class LevelKind:
    """What levels of one task are made of.

    Attributes:
        defaults: Arguments of the environment, with defaults.
        check: Raises `ConfigError` for a level that does not exist.
        seconds: Default time limit of an episode [simulated s].
        words: Short description for captions, e.g. ``2 bricks``.
    """

    defaults: Mapping[str, Any]
    check: Callable[[Mapping[str, Any]], Any]
    seconds: Callable[[Mapping[str, Any]], float]
    words: Callable[[Mapping[str, Any]], str]


def _check_blocks(level: Mapping[str, Any]) -> None:
    from envs.block_dismantling.assembly import Level

    Level(level["n_bricks"], level["layout"])


def _check_towel(level: Mapping[str, Any]) -> None:
    from envs.towel_folding.cloth import ClothConfig
    from envs.towel_folding.grasp_assist import GRASPS
    from envs.towel_folding.instructions import Level

    Level(level["level"])
    ClothConfig(level["grid"])
    if level["grasp"] not in GRASPS:
        raise unknown_name("grasp", str(level["grasp"]), GRASPS)


def _block_words(level: Mapping[str, Any]) -> str:
    layout = "" if level["layout"] == "random" else f", {level['layout']}"
    return f"{level['n_bricks']} bricks{layout}"


def _towel_words(level: Mapping[str, Any]) -> str:
    assist = ", grasp assist" if level["grasp"] == "assist" else ""
    going_on = ", continuous" if level["continuous"] else ""
    return f"level {level['level']}, {level['grid']} × {level['grid']} points{assist}{going_on}"


def _towel_seconds(level: Mapping[str, Any]) -> float:
    return CONTINUOUS_LIMIT_S if level["continuous"] else TOWEL_LIMIT_S[level["level"]]


LEVELS: dict[str, LevelKind] = {
    "block_dismantling": LevelKind(
        defaults={"n_bricks": 2, "layout": "random"},
        check=_check_blocks,
        seconds=lambda level: max(SHORTEST_LIMIT_S, SECONDS_PER_BRICK * level["n_bricks"]),
        words=_block_words,
    ),
    "towel_folding": LevelKind(
        defaults={"level": "half", "grid": 13, "grasp": "friction", "continuous": False},
        check=_check_towel,
        seconds=_towel_seconds,
        words=_towel_words,
    ),
}
"""By task."""
