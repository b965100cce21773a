"""Ways of a tool across the walls of the trays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.state import NO_BRICK
from policies.scripted.blocks.view import ArmView
from policies.scripted.grasping import half_height
from policies.scripted.motion import ToolGoal

RIM_CLEARANCE = 0.085
"""Tool height from which the fingers clear the wall of a tray [m]."""


def over_rims(view: ArmView, goal: ToolGoal) -> ToolGoal:
    """The goal, but above the wall of a tray as long as the way to it leads across one."""
    way = view.pos[:2] + np.linspace(0.0, 1.0, 12)[1:, None] * (goal.pos - view.pos)[:2]
    reach = BIN_HALF_SIZE + WALL
    inside = (np.abs(way[:, None] - view.state.bins) < reach).all(axis=2)
    here = (np.abs(view.pos[:2] - view.state.bins) < reach).all(axis=1)
    if (inside == here).all():
        return goal
    height = RIM_CLEARANCE
    if view.held != NO_BRICK:
        below = half_height(view.state.quat[view.held], view.state.half_size[view.held])
        height += max(0.0, view.pos[2] - view.state.pos[view.held, 2] + below)
    if view.pos[2] < height:
        up = np.array([*view.pos[:2], height + 0.02])
        return replace(goal, pos=up, quat=view.quat, speed=min(goal.speed, 0.30))
    over = np.array([*goal.pos[:2], max(goal.pos[2], height + 0.01)])
    return replace(goal, pos=over)
