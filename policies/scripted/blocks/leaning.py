"""Which hands take a leaning cluster apart: judged by where they would stand in the world.

In an upright cluster the hands come from two sides and the stud grid tells whether they meet. In
one that leans against something, or lies on its side, which brick is nearer to an arm has changed.
"""

from __future__ import annotations

import numpy as np

from envs.block_dismantling.state import BlockState
from envs.robot.hand_geometry import HANDS_APART, MAX_GRASP_WIDTH
from policies.scripted.blocks.clusters import pull_direction
from policies.scripted.grasping import Grasp, leaning_grasp

DOWNWARD = -0.3
"""Vertical part of a pull that would go into the table."""


def leaning_pair(state: BlockState, group: list[int]) -> tuple[int, int, int] | None:
    """Brick to pull, the arm that pulls it and the brick that the other arm holds; None if none.

    What hands already hold is kept if they leave each other room.
    """
    best: tuple[tuple, int, int, int] | None = None
    for brick in group:
        inside = state.joined[brick].any() and state.joined[:, brick].any()
        if inside or pull_direction(state, brick)[2] < DOWNWARD:
            continue
        for puller in range(2):
            taken = _grasp(state, puller, brick)
            if taken.width > MAX_GRASP_WIDTH:
                continue
            for held in group:
                grips = state.gripped[puller] == brick, state.gripped[1 - puller] == held
                if held == brick or not (all(grips) or _apart(state, taken, 1 - puller, held)):
                    continue
                score = (
                    all(grips),
                    any(grips),
                    bool(state.joined[brick, held] or state.joined[held, brick]),
                    state.target[brick] == puller,
                    -brick,
                    -held,
                )
                if best is None or score > best[0]:
                    best = (score, brick, puller, held)
    return None if best is None else best[1:]


def _grasp(state: BlockState, arm: int, brick: int) -> Grasp:
    return leaning_grasp(arm, state.pos[brick], state.quat[brick], state.half_size[brick])


def _apart(state: BlockState, taken: Grasp, holder: int, held: int) -> bool:
    """Whether the other hand stands far enough on its own side of this one."""
    other = _grasp(state, holder, held)
    if other.width > MAX_GRASP_WIDTH:
        return False
    return bool(
        (taken.pos - other.pos)[:2] @ other.approach[:2]
        >= HANDS_APART * np.linalg.norm(other.approach[:2])
    )
