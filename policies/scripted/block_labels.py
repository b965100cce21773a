"""What the brain of a block-dismantling policy learns to see and to intend, as one named vector.

Picture points come from exact projection; intentions (goals, jobs, which brick a hand deals with)
come from the scripted expert at the same tick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bricks import COLOURS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.sorting import sample_rule, write_instruction
from envs.block_dismantling.state import NO_BRICK
from envs.picture_labels import picture_points
from policies.scripted.block_expert import BlockExpert
from policies.scripted.block_plan import JOB_KINDS
from xr0_sim.conventions import ARMS, CAMERAS
from xr0_sim.model.grounding import GroundingSpec
from xr0_sim.rotations import quat_conjugate, quat_rotate

GOAL_SCALE = 0.3
"""World positions are divided by this [m]."""
NEAR_SCALE = 0.1
"""Positions relative to a tool are divided by this and squashed by tanh [m]."""
BASE, WRISTS = 0, (1, 2)


def block_grounding_spec() -> GroundingSpec:
    """Layout of `block_grounding`."""
    regressions = [("brick yaw", 2)]
    classes = [(f"{colour} goes to", 2) for colour in COLOURS]
    points = [("lowest brick", c) for c in range(len(CAMERAS))]
    points += [("highest brick", c) for c in range(len(CAMERAS))]
    points += [("left bin", BASE), ("right bin", BASE)]
    for arm in ARMS:
        regressions += [(f"{arm} goal", 3), (f"{arm} brick from tool", 3), (f"{arm} jaw", 1)]
        classes += [(f"{arm} job", len(JOB_KINDS))]
        points += [(f"{arm} brick", c) for c in range(len(CAMERAS))]
        points += [(f"{arm} tool", BASE), (f"{arm} goal point", BASE)]
    return GroundingSpec(tuple(regressions), tuple(classes), tuple(points))


def block_sentence(rng: np.random.Generator) -> tuple[str, dict[str, int]]:
    """A random instruction and the grounding classes it decides."""
    rule = sample_rule(rng)
    text = write_instruction(rng, rule, ("left bin", "right bin"))
    return text, {f"{colour} goes to": target for colour, target in rule.items()}


def block_grounding(
    env: BlockDismantlingEnv, expert: BlockExpert, spec: GroundingSpec
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Grounding vector and mask of the present tick."""
    robot, state = env.robot_state(), env.privileged()
    goals = expert.goals(robot, state)
    jobs = expert.jobs
    low, high = int(state.pos[:, 2].argmin()), int(state.pos[:, 2].argmax())
    points = {
        "lowest brick": state.pos[low],
        "highest brick": state.pos[high],
        "left bin": np.array([*state.bins[0], 0.0]),
        "right bin": np.array([*state.bins[1], 0.0]),
    }
    axis = quat_rotate(state.quat[low], np.array([0.0, 1.0, 0.0]))
    values: dict[str, object] = {"brick yaw": axis[:2] * (1.0 if axis[1] >= 0 else -1.0)}
    for colour, target in env.rule.items():
        values[f"{colour} goes to"] = target
    for a, arm in enumerate(ARMS):
        values[f"{arm} goal"] = goals[a].pos / GOAL_SCALE
        values[f"{arm} jaw"] = goals[a].jaw
        values[f"{arm} job"] = JOB_KINDS.index(jobs[a].kind)
        points[f"{arm} tool"] = robot.tool_pos[a]
        points[f"{arm} goal point"] = goals[a].pos
        brick = jobs[a].brick
        if brick != NO_BRICK:
            points[f"{arm} brick"] = state.pos[brick]
            offset = quat_rotate(
                quat_conjugate(robot.tool_quat[a]), state.pos[brick] - robot.tool_pos[a]
            )
            values[f"{arm} brick from tool"] = np.tanh(offset / NEAR_SCALE)
    views = picture_points(env, points)
    for name, camera in spec.points:
        if name in points:
            u, v, inside = views[name][camera]
            values[f"{name}@{camera}"] = (u, v) if inside else None
    return spec.pack(values)
