"""The scripted expert of block dismantling: closed loop, memoryless, on privileged state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.robot.facts import HOME_JAW
from envs.robot.kinematics import DualArmKinematics
from policies.scripted.blocks.carrying import deliver, hand_over
from policies.scripted.blocks.clusters import as_seen, pull_direction, studs_up
from policies.scripted.blocks.cramped import cramped_grasp, shortage
from policies.scripted.blocks.gripping import CLOSE_SPEED, TRAVEL_SPEED, back_out, grip, open_for
from policies.scripted.blocks.plan import BlockPlanner, Job
from policies.scripted.blocks.rims import off_walls, over_rims
from policies.scripted.blocks.view import ArmView
from policies.scripted.expert import ScriptedExpert
from policies.scripted.grasping import (
    BIN_TILT,
    LOOSE_TILT,
    NARROW_MARGINS,
    OPEN_MARGIN,
    Grasp,
    loose_grasp,
)
from policies.scripted.motion import ToolGoal
from xr0_sim.types import RobotState

PULL_SPEED = 0.10
ASKEW, ASKEW_ANGLE = 0.020, 0.6
"""Distance [m] and angle [rad] from the grasp that dismantling needs beyond which a cluster is let
go and gripped anew; chosen: more than any hand is off that may close."""
SHORT = 0.004
"""Room that a hand may lack before another grasp is looked for [m]; chosen."""
POSTURE_REACH = np.array([1.5, 1.9, 1.75, 1.8, 2.5, 2.6])
"""Joint angles that no job needs: an arm beyond one goes home on the straight way [rad]. Chosen;
in effect waist, forearm and wrist turn, since the other three have joint limits about as narrow."""


class BlockExpert(ScriptedExpert):
    """Maps (robot state, block state) to the joint action of the next tick.

    Attributes:
        jobs: Per arm, what it was last asked to do.
        careful: Whether the arms are soft, so that they leave postures that lead nowhere.
    """

    lets_off = True

    def __init__(self, kinematics: DualArmKinematics | None = None):
        super().__init__(kinematics)
        self.careful = self._kinematics.following.soft
        self._planner = BlockPlanner(any_way_up=self.careful)
        self.jobs = (Job("rest"), Job("rest"))

    @property
    def phase(self) -> tuple[str, str]:
        """Per arm, what it is doing, e.g. ``("pull", "hold")``."""
        left, right = self.jobs
        return left.kind, right.kind

    def seen(self, state: BlockState) -> BlockState:
        """The scene as the plan takes it: what no camera can tell makes no difference."""
        return as_seen(state) if self.careful else state

    def goals(self, robot: RobotState, state: BlockState) -> tuple[ToolGoal, ToolGoal]:
        """Where both tools should go now."""
        state = self.seen(state)
        self.jobs = jobs = self._planner.jobs(state)
        left, right = (arm_goal(ArmView(arm, robot, state, self), jobs[arm]) for arm in range(2))
        return left, right


def _rest(view: ArmView, _: int) -> ToolGoal:
    pos, quat = view.expert.home(view.arm)
    if view.near_brick() or view.held != NO_BRICK:
        return back_out(view, HOME_JAW)
    return ToolGoal(pos, quat, HOME_JAW, TRAVEL_SPEED)


def _take(view: ArmView, brick: int) -> ToolGoal:
    grasp = view.stacked(brick)
    if view.expert.careful and view.held != brick and view.below_leaving():
        return ToolGoal(*view.stay, view.jaw_command, CLOSE_SPEED)
    if view.expert.careful and view.held == brick and _askew(view, brick, grasp):
        return back_out(view, open_for(view, brick))
    return grip(view, brick, grasp)


def _askew(view: ArmView, brick: int, grasp: Grasp) -> bool:
    """Whether a hand alone holds a cluster in a way that leaves the other one no room."""
    if int(view.state.gripped[1 - view.arm]) in view.carried(brick):
        return False
    where, angle = grasp.relative(view.pos, view.quat)
    return angle > ASKEW_ANGLE or float(np.linalg.norm(where)) > ASKEW


def _pick(view: ArmView, brick: int) -> ToolGoal:
    state = view.state
    if view.expert.careful and view.clutched(brick):
        return grip(view, brick, cramped_grasp(view, brick))
    tilt = BIN_TILT if state.in_bin[brick] != NO_BRICK else LOOSE_TILT
    grasp = loose_grasp(
        view.arm,
        state.pos[brick],
        state.quat[brick],
        state.half_size[brick],
        tilt,
        lambda point: view.room(point, brick),
        NARROW_MARGINS if view.expert.careful else (OPEN_MARGIN,),
    )
    if view.expert.careful:
        lacking = shortage(view, brick, grasp)
        if lacking > SHORT:
            other = cramped_grasp(view, brick)
            grasp = other if shortage(view, brick, other) < lacking - SHORT else grasp
    crowded = np.linalg.norm(view.other_pos - grasp.pos) < 0.10
    if crowded and view.held == NO_BRICK:
        return ToolGoal(grasp.behind(0.13), grasp.quat, grasp.open_jaw, TRAVEL_SPEED)
    return grip(view, brick, grasp)


def _pull(view: ArmView, brick: int) -> ToolGoal:
    off = pull_direction if view.expert.careful else studs_up
    up = off(view.state, brick)
    return ToolGoal(view.pos + 0.06 * up, view.quat, 0.0, PULL_SPEED)


_JOBS = {
    "rest": _rest,
    "take": _take,
    "hold": _take,
    "pull": _pull,
    "pick": _pick,
    "deliver": deliver,
    "hand_over": hand_over,
}


def arm_goal(view: ArmView, job: Job) -> ToolGoal:
    """Where one arm's tool should go for a job."""
    goal = _JOBS[job.kind](view, job.brick)
    if not view.expert.careful:
        return goal
    posture = view.robot.joint_pos[view.arm]
    if (np.abs(posture) > POSTURE_REACH).any():
        return replace(goal, joints=view.expert.home_posture)
    return off_walls(view, over_rims(view, goal))
