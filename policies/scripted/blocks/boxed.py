"""Clusters that lie in a tray: which hand lifts them out, and how it grips between the walls.

Two hands do not fit into a tray, and one arm does not reach the other's. So the arm of that tray
takes a brick of the cluster, carries all of it over the rim and sets it down where both hands can
take it apart.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.robot.hand_geometry import MAX_GRASP_WIDTH, TILT, grasp_offset_y
from policies.scripted.blocks.clusters import hang, leans
from policies.scripted.blocks.rims import lowest_between_rims
from policies.scripted.blocks.view import FINGER_DEPTH, ArmView
from policies.scripted.grasping import (
    BIN_TILT,
    FINGER_ROOM,
    NARROW_MARGINS,
    Grasp,
    hand_quat,
    horizontal_axes,
    natural_heading,
)
from xr0_sim.rotations import quat_conjugate, quat_rotate

RAISED = 0.010
"""Height of a cluster's lowest point above the table from which on a single hand that holds it sets
it down before anything else is done with it [m]. Chosen."""
REGRIP_COST = 0.7
"""Angle that a grasp is worth with which the cluster can be taken apart at once [rad]; chosen."""


def boxed(state: BlockState, group: list[int]) -> int:
    """Tray over which some brick of a cluster is, walls included; or -1."""
    reach = np.abs(state.pos[group, None, :2] - state.bins).max(axis=2)
    nearest = reach.min(axis=0)
    tray = int(nearest.argmin())
    return tray if nearest[tray] < BIN_HALF_SIZE + 2 * WALL else NO_BRICK


def bring_out(state: BlockState, group: list[int]) -> tuple[int, int] | None:
    """Arm that carries a cluster to the free table and the brick it does it by; None if none need.

    A cluster that one hand alone holds is carried, or lowered, until it stands on the table.
    """
    holders = [arm for arm in range(2) if state.gripped[arm] in group]
    if len(holders) == 2:
        return None
    tray = boxed(state, group)
    if holders:
        arm = holders[0]
        brick = int(state.gripped[arm])
        raised = state.pos[brick, 2] - hang(state, brick, group) > RAISED
        return (arm, brick) if raised or tray != NO_BRICK else None
    if tray == NO_BRICK:
        return None
    from_walls = BIN_HALF_SIZE - np.abs(state.pos[group, :2] - state.bins[tray]).max(axis=1)
    order = np.lexsort((from_walls, state.pos[group, 2].round(2)))
    return tray, group[int(order[-1])]


def boxed_grasp(view: ArmView, brick: int) -> Grasp:
    """Grasp of a brick of a cluster in a tray: the one with room that turns the hand least."""
    options = _grasps(view, brick)
    costs = [_cost(view, brick, grasp, usable) for grasp, usable in options]
    return options[int(np.argmin(costs))][0] if options else view.stacked(brick)


def _grasps(view: ArmView, brick: int) -> list[tuple[Grasp, bool]]:
    """Grasps across the level axes of a brick, and whether a cluster comes apart by each."""
    state = view.state
    pos, half = state.pos[brick], state.half_size[brick]
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.ascontiguousarray(state.quat[brick]))
    rotation = matrix.reshape(3, 3)
    natural = natural_heading(view.arm, pos)
    options = []
    vertical, level = horizontal_axes(rotation)
    for jaw, along in (level, level[::-1]):
        if 2 * half[jaw] > MAX_GRASP_WIDTH:
            continue
        heading = np.array([-rotation[1, jaw], rotation[0, jaw]])
        heading /= np.linalg.norm(heading)
        if heading @ natural < 0:
            heading = -heading
        usable = jaw == (1 if vertical == 0 else 0)
        for tilt in (TILT, BIN_TILT):
            point = pos - grasp_offset_y(half[along]) * np.array([*heading, 0.0])
            quat = hand_quat(heading, tilt)
            options += [(Grasp(point, quat, 2 * half[jaw], m), usable) for m in NARROW_MARGINS]
    return options


def _cost(view: ArmView, brick: int, grasp: Grasp, usable: bool) -> float:
    """How far a grasp turns the hand [rad], with what walls and neighbours add."""
    approach = grasp.approach[:2] / np.linalg.norm(grasp.approach[:2])
    natural = natural_heading(view.arm, grasp.pos)
    cost = math.acos(float(np.clip(approach @ natural, -1.0, 1.0)))
    cost += 0.0 if usable or leans(view.state, brick) else REGRIP_COST
    cost += 12.0 * max(0.0, grasp.width - 0.04)
    cost += 5.0 * (NARROW_MARGINS[0] - grasp.margin)
    jaws = grasp.closed_jaw, grasp.open_jaw
    lowest = lowest_between_rims(view.state, grasp.pos, grasp.quat, jaws)
    cost += 100.0 * max(0.0, lowest - grasp.pos[2])
    return cost + 100.0 * _intrusion(view, brick, grasp)


def _intrusion(view: ArmView, brick: int, grasp: Grasp) -> float:
    """By how much the open fingers lack their room to other bricks [m]."""
    state = view.state
    others = [i for i in range(len(state.pos)) if i != brick]
    side = quat_rotate(grasp.quat, np.array([0.0, 1.0, 0.0]))
    reach = (grasp.width + grasp.margin + FINGER_DEPTH) / 2
    deepest = 0.0
    for finger in (grasp.pos + reach * side, grasp.pos - reach * side):
        seen = quat_rotate(quat_conjugate(state.quat[others]), finger - state.pos[others])
        gaps = np.linalg.norm(np.maximum(np.abs(seen) - state.half_size[others], 0.0), axis=1)
        deepest = max(deepest, FINGER_ROOM - float(gaps.min(initial=1.0)))
    return deepest
