"""What the VLM of a towel-folding policy learns to see and to intend, as one named vector.

Picture points come from exact projection; intentions (goals, jobs, which corner a hand deals with)
come from the scripted expert at the same tick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.camera_labels import picture_points
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import DIRECTIONS
from envs.towel_folding.instructions import Level, sample_folds, write_instruction
from policies.scripted.towel.expert import TowelExpert
from policies.scripted.towel.fold_view import FoldView
from policies.scripted.towel.plan import JOB_KINDS
from policies.supervision.labels import (
    BASE,
    GOAL_SCALE,
    WRISTS,
    from_tool,
    hand_intentions,
    hand_lifts,
    hand_regressions,
)
from xr0_sim.conventions import ARMS, CAMERAS
from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec

CORNERS = ("near right", "near left", "far right", "far left")
"""Corners of the flat towel in the order of their mass points."""


def towel_grounding_spec() -> GroundingSpec:
    """Layout of `towel_grounding`."""
    cameras = range(len(CAMERAS))
    regressions = [(f"{corner} at", 3) for corner in CORNERS]
    classes = [("fold", len(DIRECTIONS)), ("folded", 2)]
    points = [(corner, c) for corner in CORNERS for c in cameras]
    lifts = [(corner, BASE, f"{corner} at") for corner in CORNERS]
    for wrist, arm in zip(WRISTS, ARMS, strict=True):
        lifts += hand_lifts(arm, wrist, "corner")
        regressions += hand_regressions(arm)
        regressions += [(f"{arm} corner from tool", 3), (f"{arm} landing from tool", 3)]
        classes += [(f"{arm} job", len(JOB_KINDS)), (f"{arm} holds", 2)]
        points += [(f"{arm} corner", c) for c in cameras]
        points += [(f"{arm} landing", BASE), (f"{arm} tool", BASE), (f"{arm} goal point", BASE)]
    return GroundingSpec(tuple(regressions), tuple(classes), tuple(points), tuple(lifts))


def towel_sentence(rng: np.random.Generator) -> tuple[str, dict[str, int]]:
    """A random instruction and the grounding classes it decides."""
    level = Level("half")
    folds = sample_folds(rng, level)
    return write_instruction(rng, level, folds), {"fold": _direction(folds[0].direction)}


def _direction(name: str) -> int:
    return list(DIRECTIONS).index(name)


def towel_grounding(
    env: TowelFoldingEnv, expert: TowelExpert, spec: GroundingSpec
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Grounding vector and mask of the present tick."""
    robot, state = env.robot_state(), env.privileged()
    goals = expert.goals(robot, state)
    grid = state.grid
    values: dict[str, object] = {"folded": int(state.done >= len(state.folds))}
    if state.folds:
        fold = state.folds[min(state.done, len(state.folds) - 1)]
        values["fold"] = _direction(fold.direction)
    ends = (0, grid - 1, grid * (grid - 1), grid * grid - 1)
    points = dict(zip(CORNERS, state.points[list(ends)], strict=True))
    values |= {f"{corner} at": points[corner] / GOAL_SCALE for corner in CORNERS}
    view = FoldView.of(state)
    for a, arm in enumerate(ARMS):
        values |= hand_intentions(arm, a, robot, goals[a])
        values[f"{arm} job"] = JOB_KINDS.index(expert.jobs[a].kind)
        values[f"{arm} holds"] = int(state.held[a] != NOTHING)
        points[f"{arm} tool"] = robot.tool_pos[a]
        points[f"{arm} goal point"] = goals[a].pos
        pair = None if view is None else view.pairs[a]
        if pair is not None:
            for name, point in zip(("corner", "landing"), pair, strict=True):
                points[f"{arm} {name}"] = state.points[point]
                values[f"{arm} {name} from tool"] = from_tool(robot, a, state.points[point])
    views = picture_points(env, points)
    for name, camera in spec.points:
        if name in points:
            u, v, inside = views[name][camera]
            values[f"{name}@{camera}"] = (u, v) if inside else None
    return spec.pack(values)
