"""How a hand brings a loose brick to its tray, or to where the other hand can take it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK
from policies.scripted.blocks.boxed import boxed
from policies.scripted.blocks.gripping import CLOSE_SPEED, TRAVEL_SPEED, open_for
from policies.scripted.blocks.rims import lowest_between_rims
from policies.scripted.blocks.view import AIRBORNE, ArmView
from policies.scripted.grasping import half_height, levelling, natural_heading, turn_about_z
from policies.scripted.motion import ToolGoal
from xr0_sim.rotations import quat_multiply, quat_rotate

TRAVEL_HEIGHT = 0.105
"""Tool height on the way to a tray [m]."""
DROP_HEIGHT = 0.014
"""Gap between a brick and what lies below it when the jaw opens [m]."""
FALL_WEIGHT = 0.5
"""Room that a deeper fall is worth; chosen."""
RESTING, NEARLY_DOWN = 0.01, 0.02
"""Tool speed below which a hand that has to go down no farther than that rests on something [m/s],
[m]."""
STICKY = 0.02
"""Distance from a place within which a brick stays bound for it [m]."""
HAND_OVER_X = (-0.12, -0.06, 0.0, 0.06)
SLOTS = np.array([[x, y] for x in (0.0, 0.045, -0.045) for y in (0.0, 0.045, -0.045)])
"""Places in a tray, tried in this order when equally free [m]."""


def deliver(view: ArmView, brick: int) -> ToolGoal:
    """Carries a brick over its tray, lowers it and lets it go."""
    state = view.state
    if view.below_other():
        return ToolGoal(*view.stay, 0.0, CLOSE_SPEED)
    if view.companions(brick).any():
        return hand_over(view, brick)
    target = int(state.target[brick])
    drop = drop_point(view, brick, target)
    quat = levelled(view, natural_heading(view.arm, drop))
    offset = view.pos - state.pos[brick]
    gap = drop[:2] + offset[:2] - view.pos[:2]
    distance = float(np.linalg.norm(gap))
    if distance < 0.012:
        lower = _above_floor(view, brick, drop[:2])
        if view.expert.careful:
            spot = drop[:2] + offset[:2]
            ends = [_lowest(view, spot, turned) for turned in (view.quat, quat)]
            lower = min(lower, view.pos[2] - max(ends))
            speed = float(np.linalg.norm(view.expert.velocity(view.robot, view.arm)))
            if lower < NEARLY_DOWN and speed < RESTING:
                lower = 0.0
        if lower < 0.004 or view.blocked():
            return ToolGoal(*view.stay, open_for(view, brick), CLOSE_SPEED)
        goal = np.array([*(drop[:2] + offset[:2]), view.pos[2] - lower])
        return ToolGoal(goal, quat, 0.0, 0.25)
    clear = view.clearance_height(brick)
    height = max(TRAVEL_HEIGHT, clear)
    if clear > 0 and view.pos[2] < clear - 0.012:
        return ToolGoal(np.array([*view.pos[:2], height]), view.quat, 0.0, 0.30)
    return ToolGoal(np.array([*(drop[:2] + offset[:2]), height]), quat, 0.0, TRAVEL_SPEED)


def hand_over(view: ArmView, brick: int) -> ToolGoal:
    """Puts a brick, or the cluster that hangs on it, down where the other arm can take it."""
    state = view.state
    group = view.carried(brick)
    floor = state.pos[brick, 2] - view.hang(brick)
    sign = 1.0 if view.arm == 0 else -1.0
    if view.below_other():
        return ToolGoal(*view.stay, 0.0, CLOSE_SPEED)
    near_other = state.pos[brick, 1] * sign < 0.10
    alone = len(group) == 1
    if alone and floor < 0.006 and near_other and state.in_bin[brick] == NO_BRICK:
        return ToolGoal(*view.stay, open_for(view, brick), CLOSE_SPEED)
    spots = np.array([[x, 0.02 * sign] for x in HAND_OVER_X])
    apart = ~view.companions(brick)
    apart[group] = False
    others = state.pos[apart, :2]
    if view.expert.careful:
        others = state.pos[apart & ~view.along(brick), :2]
    room = np.linalg.norm(spots[:, None] - others[None], axis=2).min(axis=1, initial=1.0)
    if view.expert.careful:
        room += STICKY * (np.linalg.norm(spots - state.pos[brick, :2], axis=1) < STICKY)
    spot = spots[int(room.argmax())]
    if not alone and floor < AIRBORNE and boxed(state, group) == NO_BRICK:
        spot = state.pos[brick, :2]
    offset = view.pos - state.pos[brick]
    quat = levelled(view, natural_heading(view.arm, spot))
    gap = float(np.linalg.norm(spot + offset[:2] - view.pos[:2]))
    if gap < 0.015:
        goal = np.array([*(spot + offset[:2]), view.pos[2] - floor + 0.001])
        return ToolGoal(goal, quat, 0.0, CLOSE_SPEED)
    clear = view.clearance_height(brick)
    if clear > 0 and view.pos[2] < clear - 0.012:
        return ToolGoal(np.array([*view.pos[:2], clear]), view.quat, 0.0, 0.30)
    height = max(0.08, clear)
    return ToolGoal(np.array([*(spot + offset[:2]), height]), quat, 0.0, TRAVEL_SPEED)


def levelled(view: ArmView, heading: NDArray[np.float64]) -> NDArray[np.float64]:
    """Present orientation, levelled for the held brick and turned to a horizontal heading."""
    level = quat_multiply(levelling(view.state.quat[view.held]), view.quat)
    # The jaw axis stays near the horizontal however the brick sits in the hand; at rest it is
    # the heading turned by 90°.
    jaw = quat_rotate(level, np.array([0.0, 1.0, 0.0]))
    turn = math.atan2(heading[0], -heading[1]) - math.atan2(jaw[1], jaw[0])
    turn = math.atan2(math.sin(turn), math.cos(turn))
    return quat_multiply(turn_about_z(turn), level)


def drop_point(view: ArmView, brick: int, target: int) -> NDArray[np.float64]:
    """Freest slot of the tray, world (2,) [m]."""
    state = view.state
    slots = state.bins[target] + SLOTS
    others = (state.in_bin == target) & ~view.riders(brick)
    if view.expert.careful:
        others &= ~view.along(brick)
    others[brick] = False
    if not others.any() and not view.expert.careful:
        return slots[0]
    gaps = np.linalg.norm(slots[:, None] - state.pos[others, :2][None], axis=2)
    room = gaps.min(axis=1, initial=1.0)
    room = np.minimum(room, 0.06).round(3)
    if view.expert.careful:
        room -= FALL_WEIGHT * _falls(view, brick, slots)
        room += STICKY * (np.linalg.norm(slots - state.pos[brick, :2], axis=1) < STICKY)
    return slots[int(room.argmax())]


def _lowest(view: ArmView, spot: NDArray[np.float64], quat: NDArray[np.float64]) -> float:
    """How low a hand gets between the walls there; letting go, it may push at one sideways [m]."""
    return lowest_between_rims(view.state, spot, quat, (view.jaw, view.jaw))


def _falls(view: ArmView, brick: int, slots: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much deeper than `DROP_HEIGHT` the walls make a brick fall into each slot (n,) [m]."""
    offset = view.pos - view.state.pos[brick]
    hang = offset[2] + half_height(view.state.quat[brick], view.state.half_size[brick])
    lowest = [
        _lowest(view, slot + offset[:2], levelled(view, natural_heading(view.arm, slot)))
        for slot in slots
    ]
    return np.maximum(0.0, np.array(lowest) - hang - DROP_HEIGHT).round(3)


def _above_floor(view: ArmView, brick: int, spot: NDArray[np.float64]) -> float:
    """How much lower the brick may go before it is let fall [m]."""
    state = view.state
    bottom = state.pos[brick, 2] - half_height(state.quat[brick], state.half_size[brick])
    near = np.linalg.norm(state.pos[:, :2] - spot, axis=1) < 0.045
    near &= ~view.riders(brick)
    near[brick] = False
    pile = float((state.pos[near, 2] + 0.01).max(initial=0.0))
    return bottom - pile - DROP_HEIGHT
