"""Who demonstrates and advises: a rule on the situation; the scripted expert carries to the trays.

The expert judges every tick anew and backs out of grasps that it finds blocked; asked six times a
second, after steps it did not choose, it says so in half of the situations near a grasp. An agent
that learns from that hesitates. The rule says the same in the same situation: along the line of the
grasp, close, hold, pull.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK
from envs.robot.facts import JAW_STROKE
from policies.rl.aims import GRASP, IDLE, Aim
from policies.rl.decisions import PER_HAND, said
from policies.scripted.blocks.clusters import pull_direction
from policies.scripted.grasping import PREGRASP
from xr0_sim.rotations import quat_conjugate, quat_rotate, rotation_angle

CORE_M, SLOPE, TURN_LEVER = 0.006, 2.0, 0.08
"""Distance from the line of a grasp that needs no retreat [m]; retreat per distance beyond it; what
a turn counts [m/rad]. The slope is half of the scripted expert's, chosen: with all of it hands that
are a little off go back and forth before their bricks."""
CLOSE_M, CLOSE_RAD = 0.010, 0.2
"""Distance and angle to a grasp from which on the jaw closes. Chosen."""
AHEAD_S = 0.1
"""Time over which a hand that still moves is looked ahead before its jaw closes [s]. Chosen."""
DROOP_M, SLOW = 0.012, 0.06
"""Most that a resting hand hangs behind its command [m], and the speed from which on it counts as
moving [m/s]. Chosen."""
KEEP_M = 0.025
"""Distance within which a jaw that closes goes on closing [m]. Chosen."""
PULL_M = 0.05
"""Step of a pull [m]. Chosen."""
ROOM_M, BACK_M = 0.16, 0.04
"""Distance of a hand without a goal from that of the other within which it backs out, and the step
back [m]; a palm is 124 mm wide. Chosen."""
UP = np.array([0.0, 0.0, 1.0])


def hand_decision(
    aim: Aim, other: Aim, pulls: bool, expert: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Part of a decision for one hand, (4,), see `policies.rl.decisions`.

    Args:
        aim: Of the hand.
        other: Of the other hand.
        pulls: Whether this hand pulls.
        expert: What the scripted expert says, for a hand that carries a brick to its tray.
    """
    if aim.kind == IDLE:
        crowded = np.linalg.norm(aim.view.pos - other.pos) < ROOM_M
        return np.array([*said(np.array([-BACK_M * crowded, 0.0, 0.0])), 1.0])
    if aim.kind != GRASP:
        return np.asarray(expert, dtype=np.float64)
    view, inverse = aim.view, quat_conjugate(aim.quat)
    if aim.holds:
        step = np.zeros(3)
        if pulls:
            step = PULL_M * quat_rotate(inverse, _off(aim, other))
        return np.array([*said(step), -1.0])
    where = quat_rotate(inverse, view.pos - aim.pos)
    angle = float(rotation_angle(view.quat, aim.quat))
    distance = float(np.linalg.norm(where))
    closing = view.jaw_command < 0.5 * aim.open_jaw
    shut_on_nothing = view.jaw < aim.closed_jaw - 0.003 / JAW_STROKE
    speed = float(np.linalg.norm(view.expert.velocity(view.robot, view.arm)))
    lead = quat_rotate(inverse, view.stay[0] - view.pos)
    ahead = float(np.linalg.norm(lead))
    settled = closing or max(speed * AHEAD_S, ahead - DROOP_M) < CLOSE_M
    other_brick = view.held not in (NO_BRICK, aim.brick)
    near = distance < (KEEP_M if closing else CLOSE_M) and angle < CLOSE_RAD
    near = near and settled and not other_brick
    lateral = float(np.hypot(where[1], where[2]))
    off = max(0.0, lateral - CORE_M) + TURN_LEVER * max(0.0, angle - 0.5 * CLOSE_RAD)
    retreat = PREGRASP if other_brick else 0.0 if near else min(PREGRASP, SLOPE * off)
    droop = lead * max(0.0, 1.0 - speed / SLOW) * min(1.0, DROOP_M / max(1e-9, ahead))
    step = np.array([-retreat, 0.0, 0.0]) - where - lead + droop
    return np.array([*said(step), -1.0 if near and not shut_on_nothing else 1.0])


def _off(aim: Aim, other: Aim) -> NDArray[np.float64]:
    """Direction (3,) in which a held brick leaves the other one; zeros until that is held, too."""
    state = aim.view.state
    if not (state.joined[aim.brick].any() or state.joined[:, aim.brick].any()):
        return UP
    return pull_direction(state, aim.brick) if other.holds else np.zeros(3)


def decision(
    hands: tuple[Aim, Aim], expert: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The decision (8,) of the rule; `expert` is that of the scripted expert, where it is asked."""
    told = [None, None] if expert is None else expert.reshape(2, PER_HAND)
    parts = [
        hand_decision(aim, hands[1 - number], number == 0, told[number])
        for number, aim in enumerate(hands)
    ]
    return np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32)
