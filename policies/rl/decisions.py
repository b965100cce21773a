"""What an agent decides, a few times a second: where either tool goes next, and its jaw.

A decision is (8,) in [-1, 1]: per hand, the one that pulls first, a step of the tool along the axes
of its aim (x the way in, y along the jaw, z up from the hand), and the jaw: open as on the way in
above 0, else shut. A component d of the step is d |d| times `STEP`, so that an error near 0 hardly
moves a hand that is to keep still. The wrist follows the aim. The step is relative to the pose that
the present command stands for, so that 0 stays; the mover of the scripted expert
(`policies.scripted.motion`) makes a joint action per tick of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.rl.aims import Aim
from policies.scripted.motion import ToolGoal
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.rotations import quat_conjugate, quat_rotate

DECISION_TICKS = 5
"""Control ticks from one decision to the next, 6 Hz. Chosen: a hand moves 7 cm at most."""
STEP = 0.08
"""Largest step of a tool along an axis [m]."""
PER_HAND = 4
DECISION_DIM = 2 * PER_HAND
TOP_SPEED, LEAST_SPEED = 0.42, 0.08
"""Of a tool [m/s]; the first as of the scripted expert, the second chosen."""
BRISK = 1.5
"""A step is to be done within the time between decisions divided by this. Chosen."""


def tool_goals(decision: NDArray[np.floating], hands: Sequence[Aim]) -> tuple[ToolGoal, ToolGoal]:
    """Goals of the left and the right tool.

    Args:
        decision: (8,), see the module.
        hands: The two aims in the order of the decision.
    """
    goals: list[ToolGoal | None] = [None, None]
    parts = np.clip(np.asarray(decision, dtype=np.float64), -1.0, 1.0).reshape(2, PER_HAND)
    for aim, part in zip(hands, parts, strict=True):
        step = STEP * quat_rotate(aim.quat, part[:3] * np.abs(part[:3]))
        speed = BRISK * float(np.linalg.norm(step)) * CONTROL_HZ / DECISION_TICKS
        goals[aim.view.arm] = ToolGoal(
            aim.view.stay[0] + step,
            aim.wrist,
            aim.open_jaw if part[3] > 0.0 else 0.0,
            min(max(speed, LEAST_SPEED), TOP_SPEED),
        )
    left, right = goals
    assert left is not None and right is not None
    return left, right


def said(step: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part (3,) of a decision that is a step (3,) [m]; a longer one is cut in its direction."""
    share = step / STEP
    share = share / max(1.0, float(np.abs(share).max()))
    return np.sign(share) * np.sqrt(np.abs(share))


def decision_of(goals: Sequence[ToolGoal], hands: Sequence[Aim]) -> NDArray[np.float32]:
    """The decision (8,) that is nearest to goals of the left and the right tool.

    A longer way is cut to the step in its direction; what a decision cannot say – wrist, speed,
    posture – is left out.
    """
    parts = []
    for aim in hands:
        goal = goals[aim.view.arm]
        step = quat_rotate(quat_conjugate(aim.quat), goal.pos - aim.view.stay[0])
        parts.append([*said(step), 1.0 if goal.jaw > 0.5 * aim.open_jaw else -1.0])
    return np.array(parts, dtype=np.float32).ravel()
