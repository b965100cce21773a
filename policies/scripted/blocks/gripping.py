"""How a hand comes to a brick and leaves it: line up, close in, shut the jaw, back out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK
from envs.robot.facts import BASE_POSES
from policies.scripted.blocks.clusters import clusters
from policies.scripted.blocks.view import BLOCKED, ArmView
from policies.scripted.grasping import PREGRASP, Grasp, half_height
from policies.scripted.motion import ToolGoal
from xr0_sim.conventions import ARMS
from xr0_sim.rotations import quat_rotate

TRAVEL_SPEED = 0.42
CLOSE_SPEED = 0.16
"""Tool speed on the last centimetres of an approach [m/s]."""
GRASP_TOLERANCE = 0.006
"""Tool position error at which the jaw may close [m]."""
ANGLE_TOLERANCE = 0.12
FUNNEL_CORE = 0.006
"""Distance from the grasp's line within which a hand goes straight in [m]."""
FUNNEL_SLOPE = 4.0
"""Retreat per distance from that line."""
FUNNEL_TURN = 0.08
"""Distance from the line that a turn counts for [m/rad]."""
LATERAL_LIMIT = 0.035
"""Distance from the line at which a hand among bricks first backs out [m]."""
JAW_MARGIN = 0.06
"""Opening beyond the brick's width that counts as open, and below it as closed on nothing."""
BLOCKED_GRASP = 0.018
"""Distance from the grasp at which a blocked hand may close all the same [m]."""
ARRIVED, RESTING = 0.003, 0.004
"""Distance from where it aims within which a command is there [m], and tool speed of a hand that
stands still [m/s]; chosen."""
LEAVING_SPEED = 0.04
"""Speed against its own direction at which a hand counts as on its way out [m/s]."""
LET_GO = 0.35
"""How much farther a hand opens to let a brick go [fraction]."""
OPEN_ENOUGH = 0.42
"""Opening at which a hand leaves a brick of two studs [fraction]."""
WORKING_HEIGHT, BASE_ROOM = 0.20, 0.24
"""Height above which no brick is in a hand's way, and the distance from its own base's axis that a
hand keeps when it backs out [m]."""


def grip(view: ArmView, brick: int, grasp: Grasp) -> ToolGoal:
    """Open, line up behind the grasp, close in, shut the jaw, stay."""
    if view.held == brick:
        return ToolGoal(_settled(view, brick), view.stay[1], 0.0, CLOSE_SPEED)
    if view.held != NO_BRICK:
        return back_out(view, max(grasp.open_jaw, open_for(view, view.held)))
    where, angle = grasp.relative(view.pos, view.quat)
    lateral = float(np.hypot(where[1], where[2]))
    missed = view.jaw < grasp.closed_jaw - JAW_MARGIN
    closing = view.jaw_command < 0.5 * grasp.open_jaw and not missed
    # A soft hand beside a wall comes to rest short of its grasp, and nearer it will not get.
    final = closing or (
        view.expert.careful and not missed and _at_rest(view, grasp, lateral, angle)
    )
    reach = 3.0 * GRASP_TOLERANCE if final else GRASP_TOLERANCE
    if np.linalg.norm(where) < reach and angle < ANGLE_TOLERANCE * (2 if final else 1):
        jaw = grasp.open_jaw if missed else 0.0
        return ToolGoal(grasp.pos, grasp.quat, jaw, CLOSE_SPEED)
    if view.expert.careful and (view.lodged(brick) or _leaving(view, where, lateral)):
        return back_out(view, grasp.open_jaw)
    if view.blocked():
        if np.linalg.norm(where) < BLOCKED_GRASP and not missed:
            return ToolGoal(*view.stay, 0.0, CLOSE_SPEED)
        return back_out(view, grasp.open_jaw)
    shut = view.jaw < grasp.closed_jaw + JAW_MARGIN
    if view.near_brick() and (shut or lateral > LATERAL_LIMIT):
        return back_out(view, grasp.open_jaw)
    distance = PREGRASP if shut else _retreat(view, lateral, angle)
    return ToolGoal(
        grasp.behind(distance), grasp.quat, grasp.open_jaw, _grip_speed(view, -where[0])
    )


def _at_rest(view: ArmView, grasp: Grasp, lateral: float, angle: float) -> bool:
    """Whether a hand stands still although its command has arrived."""
    aim = grasp.behind(_retreat(view, lateral, angle))
    left = float(np.linalg.norm(view.stay[0] - aim))
    speed = float(np.linalg.norm(view.expert.velocity(view.robot, view.arm)))
    return left < ARRIVED and speed < RESTING


def _retreat(view: ArmView, lateral: float, angle: float) -> float:
    """How far behind the grasp a hand aims that is off its line: a funnel without steps."""
    off = max(0.0, lateral - FUNNEL_CORE) + FUNNEL_TURN * max(0.0, angle - ANGLE_TOLERANCE)
    return min(PREGRASP, FUNNEL_SLOPE * off)


def _grip_speed(view: ArmView, distance: float) -> float:
    return float(np.interp(distance, (0.02, 0.08), (CLOSE_SPEED, TRAVEL_SPEED)))


def _settled(view: ArmView, brick: int) -> NDArray[np.float64]:
    """Commanded tool position, lowered if the held cluster hangs in the air."""
    state = view.state
    group = next(g for g in clusters(state) if brick in g)
    if len(group) == 1:
        return view.stay[0]
    if view.expert.careful and np.linalg.norm(view.stay[0] - view.pos) > BLOCKED:
        # Something else holds the cluster up; a soft arm would press ever harder.
        return view.stay[0]
    floor = min(state.pos[i, 2] - half_height(state.quat[i], state.half_size[i]) for i in group)
    return view.stay[0] - np.array([0.0, 0.0, floor if floor > 0.004 else 0.0])


def open_for(view: ArmView, brick: int) -> float:
    """Opening fraction that lets a held brick go."""
    return min(1.0, view.jaw + LET_GO)


def back_out(view: ArmView, jaw: float) -> ToolGoal:
    """Opens, then retreats the way the hand points; waits while a brick is between the pads."""
    if view.held != NO_BRICK or view.jaw < min(jaw - 0.15, OPEN_ENOUGH):
        return ToolGoal(*view.stay, jaw, CLOSE_SPEED)
    goal = view.pos + quat_rotate(view.quat, np.array([-0.08, 0.0, 0.0]))
    if view.expert.careful:
        if view.pos[2] > WORKING_HEIGHT:
            return ToolGoal(*view.expert.home(view.arm), jaw, 0.35)
        away = goal[:2] - np.array(BASE_POSES[ARMS[view.arm]][0][:2])
        short = BASE_ROOM - float(np.linalg.norm(away))
        if short > 0:
            goal[:2] += short * away / np.linalg.norm(away)
    return ToolGoal(goal, view.quat, jaw, 0.35)


def _leaving(view: ArmView, where: NDArray[np.float64], lateral: float) -> bool:
    """Whether the hand is on its way out again, which it goes to the end."""
    near = np.linalg.norm(where) < BLOCKED_GRASP
    if near or where[0] < -PREGRASP or lateral > LATERAL_LIMIT:
        return False
    ahead = quat_rotate(view.quat, np.array([1.0, 0.0, 0.0]))
    return float(view.expert.velocity(view.robot, view.arm) @ ahead) < -LEAVING_SPEED
