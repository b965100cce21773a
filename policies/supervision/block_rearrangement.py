"""Lays the bricks of a running block scene somewhere else, physically sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bins import BIN_HALF_SIZE
from envs.block_dismantling.state import NO_BRICK
from xr0_sim.errors import SimulationError

if TYPE_CHECKING:
    from envs.block_dismantling.env import BlockDismantlingEnv

TRIES = 24
OVERLAP = 0.001
"""Deepest overlap of an arm and a brick that counts as touching [m]."""


@dataclass(frozen=True)
class ScatterConfig:
    """Where the bricks may lie.

    Attributes:
        area: x and y range of their places [m]; it reaches into the trays.
        spacing: Smallest distance of two groups [m].
        wall_gap: Smallest distance of a group's middle from a tray wall [m].
        apart_share: Share of scenes in which clutched bricks are taken apart first.
        tipped_share: Share of single bricks that lie on a side.
        near_share: Share of groups that are put near the tool of an arm.
        near_m: Standard deviation of their place about the tool [m].
        near_turn: Standard deviation of their turn from the square position [rad].
        kept_share: Share of held groups that stay in the hand.
        settle_ticks: Ticks the hands hold still before the scene counts.
    """

    area: tuple[tuple[float, float], tuple[float, float]] = ((-0.14, 0.26), (-0.28, 0.28))
    spacing: float = 0.055
    wall_gap: float = 0.045
    apart_share: float = 0.5
    tipped_share: float = 0.15
    near_share: float = 0.45
    near_m: float = 0.035
    near_turn: float = 0.45
    kept_share: float = 0.7
    settle_ticks: int = 1


def scatter(env: BlockDismantlingEnv, config: ScatterConfig, rng: np.random.Generator) -> bool:
    """Lays all groups of bricks at random places and lets them settle.

    Returns:
        False where no free places were found or the physics failed; the scene is then of no use.
    """
    held = {int(brick) for brick in env.privileged().gripped if brick != NO_BRICK}
    kept = held if rng.random() < config.kept_share else set()
    if not kept and rng.random() < config.apart_share:
        env.open_clutches()
    groups = {tuple(env.cluster(i)) for i in range(len(env.bricks))}
    placed: list[NDArray[np.float64]] = []
    for group in sorted(groups):
        if kept & set(group):
            placed.append(env.middle_of(list(group))[:2])
        elif not _place(env, list(group), placed, config, rng):
            return False
    still = env.robot_state().command
    try:
        return not any(env.advance(still)[1] for _ in range(config.settle_ticks))
    except SimulationError:
        return False


def _place(
    env: BlockDismantlingEnv,
    group: list[int],
    placed: list[NDArray[np.float64]],
    config: ScatterConfig,
    rng: np.random.Generator,
) -> bool:
    """Sets one group down at a free place, which is added to `placed`."""
    low, high = np.transpose(config.area)
    tools = env.robot_state().tool_pos
    near = bool(rng.random() < config.near_share)
    tipped = len(group) == 1 and rng.random() < config.tipped_share
    roll = float(rng.choice([-1.0, 1.0])) * np.pi / 2 if tipped else 0.0
    for _ in range(TRIES):
        if near:
            place = tools[rng.integers(2), :2] + rng.normal(0.0, config.near_m, 2)
            yaw = float(rng.normal(0.0, config.near_turn)) + np.pi * float(rng.integers(2))
        else:
            place, yaw = rng.uniform(low, high), float(rng.uniform(-np.pi, np.pi))
        ring = np.abs(np.abs(place - env.bins).max(axis=1) - BIN_HALF_SIZE)
        inside = (place >= low).all() and (place <= high).all()
        far = all(np.linalg.norm(place - other) > config.spacing for other in placed)
        if not inside or not far or ring.min() < config.wall_gap:
            continue
        env.set_down(group, place, yaw, roll)
        if not _overlaps(env, group):
            placed.append(place)
            return True
    return False


def _overlaps(env: BlockDismantlingEnv, group: list[int]) -> bool:
    """Whether an arm reaches into one of the bricks."""
    mujoco.mj_fwdPosition(env.model, env.data)
    return env.deepest_arm_contact(group) > OVERLAP
