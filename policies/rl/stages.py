"""The stages of taking a brick off: what each asks for, and how near a scene is to it.

Success is judged by the physics of the world: what lies between the pads, whether a clutch still
joins two bricks, what the task's own judge calls sorted. The reward is the growth of a potential in
[0, 1], so that nothing is gained by waiting, minus the time, plus a bonus for success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.block_dismantling.state import BlockState
from envs.reward import near
from policies.rl.aims import GRASP, PLACE, Aim, Pair
from xr0_sim.errors import unknown_name
from xr0_sim.rotations import rotation_angle

STAGES = ("reach", "grasp", "separate", "sort")
TIME_LIMITS_S = {"reach": 3.0, "grasp": 4.0, "separate": 5.0, "sort": 12.0}
"""Chosen: about three times what the scripted expert takes [s]."""
REACHED_M, REACHED_RAD = 0.012, 0.2
"""Distance and angle to its aim within which a hand has reached it. Chosen."""
APART_M = 0.01
"""How far a separated brick is lifted off, at the least, beyond its place in the stack [m]."""
REACH_MARGIN, TURN_LEVER = 0.25, 0.08
"""Distance at which the nearness to an aim is 0.1 [m], and what a turn counts [m/rad]. Chosen."""
PROGRESS, BONUS, PER_DECISION = 10.0, 5.0, -0.05
"""Weight of the potential's growth, of success, and of every decision. Chosen."""
WEIGHTS = {
    "reach": {"reach": 1.0},
    "grasp": {"reach": 0.5, "grasp": 0.5},
    "separate": {"reach": 0.3, "grasp": 0.3, "separate": 0.4},
    "sort": {"reach": 0.2, "grasp": 0.2, "separate": 0.2, "carry": 0.2, "sort": 0.2},
}
"""Stage -> weight of every term of its potential."""


def check_stage(stage: str) -> str:
    """The stage, if it exists."""
    if stage not in STAGES:
        raise unknown_name("stage", str(stage), STAGES)
    return stage


@dataclass(frozen=True)
class Progress:
    """How far a scene has come.

    Attributes:
        terms: Term of a potential -> value in [0, 1].
        reached: Whether both hands are where they are to close.
        grasped: Whether each hand holds its brick of the pair.
        separated: Whether the brick is off, in the hand that pulled it.
        sorted: Whether a brick lies sorted.
    """

    terms: Mapping[str, float]
    reached: bool
    grasped: bool
    separated: bool
    sorted: bool

    def potential(self, stage: str) -> float:
        """Weighted sum of the terms, in [0, 1]."""
        return sum(weight * self.terms[name] for name, weight in WEIGHTS[stage].items())

    def success(self, stage: str) -> bool:
        """Whether a stage is done."""
        done = (self.reached, self.grasped, self.separated, self.sorted)
        return done[STAGES.index(stage)]


def progress(
    pair: Pair, hands: Sequence[Aim], state: BlockState, bricks: Sequence[str]
) -> Progress:
    """Measures a scene.

    Args:
        pair: What is to be taken off, and from what.
        hands: Aims of both arms.
        state: Ground truth.
        bricks: What the task says of every brick, ``info["bricks"]``.
    """
    holder = 1 - pair.puller
    grips = state.gripped[pair.puller] == pair.brick, state.gripped[holder] == pair.held
    off = bricks[pair.brick] != "attached"
    offset = state.pos[pair.brick] - state.pos[pair.held]
    height = float(state.half_size[pair.brick, 2] + state.half_size[pair.held, 2])
    apart = float(np.linalg.norm(offset)) > height + APART_M
    separated = bool(off and grips[0] and apart)
    sorted_any = "sorted" in bricks
    gaps = [_gap(aim) for aim in hands if aim.kind == GRASP]
    nearness = [near(gap, 0.004, REACH_MARGIN) for gap, _ in gaps]
    close = [d < REACHED_M and turn < REACHED_RAD for d, turn in (_errors(a) for a in hands)]
    on_the_way = [a for a in hands if a.kind == PLACE and a.brick == pair.brick]
    carried = near(_gap(on_the_way[0])[0], 0.01, REACH_MARGIN) if on_the_way else 0.0
    terms = {
        "reach": 1.0 if off else float(np.mean(nearness)) if nearness else 0.0,
        "grasp": 1.0 if off and grips[0] else sum(grips) / 2.0,
        "separate": 0.5 * off + 0.5 * separated if grips[0] else 0.0,
        "carry": carried,
        "sort": float(sorted_any),
    }
    if sorted_any:
        terms = dict.fromkeys(terms, 1.0)
    return Progress(terms, all(close), all(grips), separated, sorted_any)


def reward(before: float, after: float, success: bool) -> float:
    """Reward of a decision, from the potential before and after it."""
    return PROGRESS * (after - before) + BONUS * success + PER_DECISION


def _errors(aim: Aim) -> tuple[float, float]:
    """Distance [m] and angle [rad] of a hand to its aim; none when it holds the brick."""
    if aim.holds and aim.kind == GRASP:
        return 0.0, 0.0
    view = aim.view
    return float(np.linalg.norm(view.pos - aim.pos)), float(rotation_angle(view.quat, aim.quat))


def _gap(aim: Aim) -> tuple[float, float]:
    """Distance to the aim with the turn counted in [m], and the angle [rad]."""
    distance, angle = _errors(aim)
    return distance + TURN_LEVER * angle, angle


def told(found: Progress, stage: str) -> dict[str, Any]:
    """What ``info`` says of the progress."""
    return {
        "stage": stage,
        "stage_terms": dict(found.terms),
        "stages": dict(zip(STAGES, (found.success(s) for s in STAGES), strict=True)),
    }
