"""Who demonstrates and advises: a rule on the situation; the scripted expert where it has none.

The expert judges every tick anew and backs out of grasps that it finds blocked; asked six times a
second, after steps it did not choose, it says so in half of the situations near a grasp. An agent
that learns from that hesitates. The rule says the same in the same situation: along the line of the
grasp, close, hold, pull.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.robot.facts import JAW_STROKE
from policies.rl.aims import GRASP, Aim
from policies.rl.decisions import PER_HAND, STEP
from policies.scripted.blocks.clusters import pull_direction
from policies.scripted.grasping import PREGRASP
from xr0_sim.rotations import quat_conjugate, quat_rotate, rotation_angle

CORE_M, SLOPE, TURN_LEVER = 0.006, 4.0, 0.08
"""Distance from the line of a grasp that needs no retreat [m]; retreat per distance beyond it; what
a turn counts [m/rad]. As of the scripted expert."""
CLOSE_M, CLOSE_RAD = 0.010, 0.2
"""Distance and angle to a grasp from which on the jaw closes. Chosen."""
KEEP_M = 0.025
"""Distance within which a jaw that closes goes on closing [m]. Chosen."""
PULL_M = 0.05
"""Step of a pull [m]. Chosen."""


def hand_decision(
    aim: Aim, both_hold: bool, pulls: bool, expert: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Part of a decision for one hand, (4,), see `policies.rl.decisions`.

    Args:
        aim: Of the hand.
        both_hold: Whether both hands have their brick.
        pulls: Whether this hand pulls.
        expert: What the scripted expert says, for aims that are no grasp.
    """
    if aim.kind != GRASP:
        return np.asarray(expert, dtype=np.float64)
    view, inverse = aim.view, quat_conjugate(aim.quat)
    if aim.holds:
        step = np.zeros(3)
        if both_hold and pulls:
            step = PULL_M / STEP * quat_rotate(inverse, pull_direction(view.state, aim.brick))
        return np.array([*step, -1.0])
    where = quat_rotate(inverse, view.pos - aim.pos)
    angle = float(rotation_angle(view.quat, aim.quat))
    distance = float(np.linalg.norm(where))
    closing = view.jaw_command < 0.5 * aim.open_jaw
    shut_on_nothing = view.jaw < aim.closed_jaw - 0.003 / JAW_STROKE
    near = distance < (KEEP_M if closing else CLOSE_M) and angle < CLOSE_RAD
    lateral = float(np.hypot(where[1], where[2]))
    off = max(0.0, lateral - CORE_M) + TURN_LEVER * max(0.0, angle - 0.5 * CLOSE_RAD)
    retreat = 0.0 if near else min(PREGRASP, SLOPE * off)
    lead = quat_rotate(inverse, view.stay[0] - view.pos)
    step = (np.array([-retreat, 0.0, 0.0]) - where - 0.5 * lead) / STEP
    step = step / max(1.0, float(np.abs(step).max()))
    return np.array([*step, -1.0 if near and not shut_on_nothing else 1.0])


def decision(hands: tuple[Aim, Aim], expert: NDArray[np.float32]) -> NDArray[np.float32]:
    """The decision (8,) of the rule; `expert` is that of the scripted expert."""
    both = all(aim.holds for aim in hands)
    said = expert.reshape(2, PER_HAND)
    parts = [
        hand_decision(aim, both, number == 0, said[number]) for number, aim in enumerate(hands)
    ]
    return np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32)
