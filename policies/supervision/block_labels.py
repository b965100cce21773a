"""What the VLM of a block-dismantling policy learns to see and to intend, as one named vector.

Picture points come from exact projection; intentions (goals, jobs, which brick a hand deals with)
come from the scripted expert at the same tick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bricks import COLOURS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.instructions import sample_rule, write_instruction
from envs.block_dismantling.state import NO_BRICK
from envs.camera_labels import picture_points
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.blocks.plan import JOB_KINDS
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


def block_grounding_spec() -> GroundingSpec:
    """Layout of `block_grounding`."""
    cameras = range(len(CAMERAS))
    regressions = [(f"{colour} at", 3) for colour in COLOURS]
    classes = [(f"{colour} goes to", 2) for colour in COLOURS] + [("clutched", 2)]
    points = [(colour, c) for colour in COLOURS for c in cameras]
    points += [("left bin", BASE), ("right bin", BASE)]
    lifts = [(colour, BASE, f"{colour} at") for colour in COLOURS]
    for wrist, arm in zip(WRISTS, ARMS, strict=True):
        lifts += hand_lifts(arm, wrist, "brick")
        regressions += hand_regressions(arm)
        regressions += [(f"{arm} brick from tool", 3)]
        classes += [(f"{arm} job", len(JOB_KINDS)), (f"{arm} holds", 1 + len(COLOURS))]
        points += [(f"{arm} brick", c) for c in cameras]
        points += [(f"{arm} tool", BASE), (f"{arm} goal point", BASE)]
    return GroundingSpec(tuple(regressions), tuple(classes), tuple(points), tuple(lifts))


def block_sentence(rng: np.random.Generator) -> tuple[str, dict[str, int]]:
    """A random instruction and the grounding classes it decides."""
    rule = sample_rule(rng)
    text = write_instruction(rng, rule, ("left bin", "right bin"))
    return text, {f"{colour} goes to": target for colour, target in rule.items()}


def block_grounding(
    env: BlockDismantlingEnv, expert: BlockExpert, spec: GroundingSpec
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Grounding vector and mask of the present tick; a colour that two bricks share is masked."""
    robot, state = env.robot_state(), env.privileged()
    goals = expert.goals(robot, state)
    values: dict[str, object] = {"clutched": int(expert.seen(state).joined.any())}
    values |= {f"{colour} goes to": target for colour, target in env.rule.items()}
    points = {
        "left bin": np.array([*state.bins[0], 0.0]),
        "right bin": np.array([*state.bins[1], 0.0]),
    }
    painted = [brick.colour for brick in env.bricks]
    for colour in COLOURS:
        if painted.count(colour) == 1:
            points[colour] = state.pos[painted.index(colour)]
            values[f"{colour} at"] = points[colour] / GOAL_SCALE
    for a, arm in enumerate(ARMS):
        job, goal, held = expert.jobs[a], goals[a], int(state.gripped[a])
        values |= hand_intentions(arm, a, robot, goal)
        values[f"{arm} job"] = JOB_KINDS.index(job.kind)
        values[f"{arm} holds"] = 0 if held == NO_BRICK else 1 + list(COLOURS).index(painted[held])
        points[f"{arm} tool"] = robot.tool_pos[a]
        points[f"{arm} goal point"] = goal.pos
        if job.brick != NO_BRICK:
            points[f"{arm} brick"] = state.pos[job.brick]
            values[f"{arm} brick from tool"] = from_tool(robot, a, state.pos[job.brick])
    views = picture_points(env, points)
    for name, camera in spec.points:
        if name in points:
            u, v, inside = views[name][camera]
            values[f"{name}@{camera}"] = (u, v) if inside else None
    return spec.pack(values)
