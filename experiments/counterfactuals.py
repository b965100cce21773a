"""Counterfactual samples: the arms of one moment of the expert, the bricks somewhere else.

In demonstrations an arm is always on its way to the right brick, so a brain can read the brick off
the arm and never look at it. Here the same arms stand beside bricks that lie anywhere, and only the
pictures say where. The chunk is the expert's from there, as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.sorting import BIN_HALF_SIZE
from xr0_sim.conventions import ENV_ACTION_DIM

if TYPE_CHECKING:
    from envs.block_dismantling.env import BlockDismantlingEnv
    from experiments.demonstrations import SampleRecorder
    from policies.scripted.oracle import ChunkOracle

STREAM = 0x636E7466
SOURCE = "counterfactual"


@dataclass(frozen=True)
class CounterfactualConfig:
    """Where the bricks may lie.

    Attributes:
        stride: Shortest and longest gap between two moments [ticks].
        area: x and y range of their places [m]; it reaches into the trays.
        spacing: Smallest distance of two groups, and of a group from either tool [m].
        wall_gap: Smallest distance of a group's middle from a tray wall [m].
        apart_share: Share of moments in which clutched bricks are taken apart first.
        tipped_share: Share of single bricks that lie on a side.
        settle_ticks: Ticks the hands hold still before the sample is taken.
        max_ticks: Tick limit of an episode.
    """

    stride: tuple[int, int] = (4, 10)
    area: tuple[tuple[float, float], tuple[float, float]] = ((-0.14, 0.26), (-0.28, 0.28))
    spacing: float = 0.055
    wall_gap: float = 0.045
    apart_share: float = 0.5
    tipped_share: float = 0.15
    settle_ticks: int = 2
    max_ticks: int = 450


def record_counterfactuals(
    env: BlockDismantlingEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    config: CounterfactualConfig,
    seed: int,
) -> bool:
    """Plays one episode of the expert and records what it would do with the bricks elsewhere."""
    rng = np.random.default_rng([seed, STREAM])
    env.reset_scene(seed)
    due = int(rng.integers(0, config.stride[1]))
    done, info = False, {"success": False}
    while not done and env.tick < config.max_ticks:
        if env.tick >= due:
            with env.rehearsal():
                if scatter(env, config, rng):
                    frame = recorder.frame()
                    chunk = oracle.next_actions(np.zeros((0, ENV_ACTION_DIM)))
                    recorder.store(frame, chunk, 0, seed, SOURCE)
            due = env.tick + int(rng.integers(config.stride[0], config.stride[1] + 1))
        action = oracle.expert.action(env.robot_state(), env.privileged())
        _, done, _, info = env.advance(action)
    return done and bool(info["success"])


def scatter(
    env: BlockDismantlingEnv, config: CounterfactualConfig, rng: np.random.Generator
) -> bool:
    """Lays all groups of bricks at random places and lets them settle.

    Returns:
        False where no free places were found or the physics failed; the scene is then of no use.
    """
    if rng.random() < config.apart_share:
        env.open_clutches()
    groups = {tuple(env.cluster(i)) for i in range(len(env.bricks))}
    tools = env.robot_state().tool_pos
    taken: list[NDArray[np.float64]] = [tool[:2] for tool in tools if tool[2] < 0.12]
    for group in sorted(groups):
        place = _free_place(taken, env.bins, config, rng)
        if place is None:
            return False
        taken.append(place)
        tipped = len(group) == 1 and rng.random() < config.tipped_share
        roll = float(rng.choice([-1.0, 1.0])) * np.pi / 2 if tipped else 0.0
        env.set_down(list(group), place, float(rng.uniform(-np.pi, np.pi)), roll)
    still = env.robot_state().command
    for _ in range(config.settle_ticks):
        if env.advance(still)[1]:
            return False
    return True


def _free_place(
    taken: list[NDArray[np.float64]],
    bins: NDArray[np.float64],
    config: CounterfactualConfig,
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    low, high = np.transpose(config.area)
    for place in rng.uniform(low, high, (64, 2)):
        beside_wall = np.abs(np.abs(place - bins).max(axis=1) - BIN_HALF_SIZE) < config.wall_gap
        far = all(np.linalg.norm(place - other) > config.spacing for other in taken)
        if far and not beside_wall.any():
            return place
    return None
