"""The scripted expert of block dismantling: closed loop, memoryless, on privileged state."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.bricks import HEIGHT
from envs.block_dismantling.state import NO_BRICK, BlockState
from envs.robot.facts import BASE_POSES, HOME_JAW
from envs.robot.kinematics import DualArmKinematics
from policies.scripted.blocks.plan import BlockPlanner, Job, clusters
from policies.scripted.expert import ScriptedExpert
from policies.scripted.grasping import (
    BIN_TILT,
    LOOSE_TILT,
    NARROW_MARGINS,
    OPEN_MARGIN,
    PREGRASP,
    Grasp,
    half_height,
    levelling,
    loose_grasp,
    natural_heading,
    stacked_grasp,
    turn_about_z,
)
from policies.scripted.motion import ToolGoal
from xr0_sim.conventions import ARM_ACTION_DIM, ARMS
from xr0_sim.rotations import quat_conjugate, quat_multiply, quat_rotate
from xr0_sim.types import RobotState

TRAVEL_SPEED = 0.42
CLOSE_SPEED = 0.16
"""Tool speed on the last centimetres of an approach [m/s]."""
PULL_SPEED = 0.10
GRASP_TOLERANCE = 0.006
"""Tool position error at which the jaw may close [m]."""
ANGLE_TOLERANCE = 0.12
TRAVEL_HEIGHT = 0.105
"""Tool height on the way to a tray [m]."""
LIFT_CLEARANCE = 0.045
"""How far a brick is raised above its neighbours before it moves sideways [m]."""
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
OPEN_ENOUGH = 0.42
"""Opening at which a hand leaves a brick of two studs [fraction]."""
BLOCKED = 0.006
"""Distance between commanded and present tool position that means contact, of a stiff arm [m]."""
MAX_HEIGHT = 0.42
"""Highest tool position on a way [m]."""
DROP_HEIGHT = 0.014
"""Gap between a brick and what lies below it when the jaw opens [m]."""
RIDER_REACH = 0.035
"""Horizontal distance within which a brick lies on a carried one [m]."""
COMPANION_REACH, AIRBORNE = 0.045, 0.035
"""Distance within which a second brick is in the same hand, and the height of the middle of a brick
above whatever could bear it [m]."""
POSTURE_REACH = np.array([1.5, 1.9, 1.75, 1.8, 2.5, 2.6])
"""Joint angles that no job needs: an arm beyond one goes home on the straight way [rad]. Chosen;
in effect waist, forearm and wrist turn, since the other three have joint limits about as narrow."""
WORKING_HEIGHT, BASE_ROOM = 0.20, 0.24
"""Height above which no brick is in a hand's way, and the distance from its own base's axis that a
hand keeps when it backs out [m]."""
STICKY = 0.02
"""Distance from a place within which a brick stays bound for it [m]."""
RIM_CLEARANCE = 0.085
"""Tool height from which the fingers clear the wall of a tray [m]."""
LEAVING_SPEED = 0.04
"""Speed against its own direction at which a hand counts as on its way out [m/s]."""
HAND_OVER_X = (-0.12, -0.06, 0.0, 0.06)
SLOTS = np.array([[x, y] for x in (0.0, 0.045, -0.045) for y in (0.0, 0.045, -0.045)])
"""Places in a tray, tried in this order when equally free [m]."""


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
        self._planner = BlockPlanner()
        self.jobs = (Job("rest"), Job("rest"))

    @property
    def phase(self) -> tuple[str, str]:
        """Per arm, what it is doing, e.g. ``("pull", "hold")``."""
        left, right = self.jobs
        return left.kind, right.kind

    def goals(self, robot: RobotState, state: BlockState) -> tuple[ToolGoal, ToolGoal]:
        """Where both tools should go now."""
        self.jobs = jobs = self._planner.jobs(state)
        left, right = (_ArmView(arm, robot, state, self).goal(jobs[arm]) for arm in range(2))
        return left, right


class _ArmView:
    """One arm at one tick: everything a job needs to become a tool goal."""

    def __init__(self, arm: int, robot: RobotState, state: BlockState, expert: BlockExpert):
        self.arm, self.robot, self.state, self.expert = arm, robot, state, expert
        self.pos, self.quat = robot.tool_pos[arm], robot.tool_quat[arm]
        self.stay = expert.commanded(robot)[arm]
        self.other_pos = robot.tool_pos[1 - arm]
        self.jaw = float(robot.jaw[arm])
        self.jaw_command = float(robot.command[arm * ARM_ACTION_DIM + ARM_ACTION_DIM - 1])
        self.held = int(state.gripped[arm])

    def goal(self, job: Job) -> ToolGoal:
        goal = getattr(self, f"_{job.kind}")(job.brick)
        posture = self.robot.joint_pos[self.arm]
        if self.expert.careful and (np.abs(posture) > POSTURE_REACH).any():
            return replace(goal, joints=self.expert.home_posture)
        return self._over_rims(goal) if self.expert.careful else goal

    # ------------------------------------------------------------- jobs
    def _rest(self, _: int) -> ToolGoal:
        pos, quat = self.expert.home(self.arm)
        if self._near_brick() or self.held != NO_BRICK:
            return self._back_out(HOME_JAW)
        return ToolGoal(pos, quat, HOME_JAW, TRAVEL_SPEED)

    def _take(self, brick: int) -> ToolGoal:
        return self._grip(brick, self._stacked(brick))

    def _hold(self, brick: int) -> ToolGoal:
        return self._grip(brick, self._stacked(brick))

    def _pick(self, brick: int) -> ToolGoal:
        state = self.state
        tilt = BIN_TILT if state.in_bin[brick] != NO_BRICK else LOOSE_TILT
        grasp = loose_grasp(
            self.arm,
            state.pos[brick],
            state.quat[brick],
            state.half_size[brick],
            tilt,
            lambda point: self._room(point, brick),
            NARROW_MARGINS if self.expert.careful else (OPEN_MARGIN,),
        )
        crowded = np.linalg.norm(self.other_pos - grasp.pos) < 0.10
        if crowded and self.held == NO_BRICK:
            return ToolGoal(grasp.behind(0.13), grasp.quat, grasp.open_jaw, TRAVEL_SPEED)
        return self._grip(brick, grasp)

    def _pull(self, brick: int) -> ToolGoal:
        up = quat_rotate(self.state.quat[brick], np.array([0.0, 0.0, 1.0]))
        return ToolGoal(self.pos + 0.06 * up, self.quat, 0.0, PULL_SPEED)

    def _deliver(self, brick: int) -> ToolGoal:
        state = self.state
        if self._below_other():
            return ToolGoal(*self.stay, 0.0, CLOSE_SPEED)
        if self._companions(brick).any():
            return self._hand_over(brick)
        target = int(state.target[brick])
        drop = self._drop_point(brick, target)
        quat = self._level(natural_heading(self.arm, drop))
        offset = self.pos - state.pos[brick]
        gap = drop[:2] + offset[:2] - self.pos[:2]
        distance = float(np.linalg.norm(gap))
        if distance < 0.012:
            lower = self._above_floor(brick, drop[:2])
            if lower < 0.004 or self._blocked():
                return ToolGoal(*self.stay, self._open_for(brick), CLOSE_SPEED)
            goal = np.array([*(drop[:2] + offset[:2]), self.pos[2] - lower])
            return ToolGoal(goal, quat, 0.0, 0.25)
        clear = self._clearance_height(brick)
        height = max(TRAVEL_HEIGHT, clear)
        if clear > 0 and self.pos[2] < clear - 0.012:
            return ToolGoal(np.array([*self.pos[:2], height]), self.quat, 0.0, 0.30)
        return ToolGoal(np.array([*(drop[:2] + offset[:2]), height]), quat, 0.0, TRAVEL_SPEED)

    def _room(self, point: NDArray[np.float64], brick: int) -> float:
        """Horizontal distance from a point to tray walls and other bricks [m]."""
        state = self.state
        ring = np.abs(point - state.bins).max(axis=1) - BIN_HALF_SIZE
        walls = float(np.abs(ring - WALL).min()) - WALL
        others = np.delete(np.arange(len(state.pos)), brick)
        if others.size == 0:
            return walls
        gap = np.linalg.norm(state.pos[others, :2] - point, axis=1)
        return min(walls, float((gap - state.half_size[others, :2].max(axis=1)).min()))

    def _hand_over(self, brick: int) -> ToolGoal:
        """Puts a brick that belongs to the other side down where the other arm can take it."""
        state = self.state
        floor = state.pos[brick, 2] - half_height(state.quat[brick], state.half_size[brick])
        sign = 1.0 if self.arm == 0 else -1.0
        if self._below_other():
            return ToolGoal(*self.stay, 0.0, CLOSE_SPEED)
        near_other = state.pos[brick, 1] * sign < 0.10
        if floor < 0.006 and near_other and state.in_bin[brick] == NO_BRICK:
            return ToolGoal(*self.stay, self._open_for(brick), CLOSE_SPEED)
        spots = np.array([[x, 0.02 * sign] for x in HAND_OVER_X])
        apart = ~self._companions(brick)
        apart[brick] = False
        others = state.pos[apart, :2]
        if self.expert.careful:
            others = state.pos[apart & ~self._along(brick), :2]
        room = np.linalg.norm(spots[:, None] - others[None], axis=2).min(axis=1, initial=1.0)
        if self.expert.careful:
            room += STICKY * (np.linalg.norm(spots - state.pos[brick, :2], axis=1) < STICKY)
        spot = spots[int(room.argmax())]
        offset = self.pos - state.pos[brick]
        quat = self._level(natural_heading(self.arm, spot))
        gap = float(np.linalg.norm(spot + offset[:2] - self.pos[:2]))
        if gap < 0.015:
            goal = np.array([*(spot + offset[:2]), self.pos[2] - floor + 0.001])
            return ToolGoal(goal, quat, 0.0, CLOSE_SPEED)
        clear = self._clearance_height(brick)
        if clear > 0 and self.pos[2] < clear - 0.012:
            return ToolGoal(np.array([*self.pos[:2], clear]), self.quat, 0.0, 0.30)
        height = max(0.08, clear)
        return ToolGoal(np.array([*(spot + offset[:2]), height]), quat, 0.0, TRAVEL_SPEED)

    # ------------------------------------------------------------- gripping
    def _stacked(self, brick: int) -> Grasp:
        state = self.state
        return stacked_grasp(self.arm, state.pos[brick], state.quat[brick], state.half_size[brick])

    def _grip(self, brick: int, grasp: Grasp) -> ToolGoal:
        """Open, line up behind the grasp, close in, shut the jaw, stay."""
        if self.held == brick:
            return ToolGoal(self._settled(brick), self.stay[1], 0.0, CLOSE_SPEED)
        if self.held != NO_BRICK:
            return self._back_out(max(grasp.open_jaw, self._open_for(self.held)))
        where, angle = grasp.relative(self.pos, self.quat)
        lateral = float(np.hypot(where[1], where[2]))
        missed = self.jaw < grasp.closed_jaw - JAW_MARGIN
        closing = self.jaw_command < 0.5 * grasp.open_jaw and not missed
        reach = 3.0 * GRASP_TOLERANCE if closing else GRASP_TOLERANCE
        if np.linalg.norm(where) < reach and angle < ANGLE_TOLERANCE * (2 if closing else 1):
            jaw = grasp.open_jaw if missed else 0.0
            return ToolGoal(grasp.pos, grasp.quat, jaw, CLOSE_SPEED)
        if self.expert.careful and (self._lodged(brick) or self._leaving(where, lateral)):
            return self._back_out(grasp.open_jaw)
        if self._blocked():
            if np.linalg.norm(where) < BLOCKED_GRASP and not missed:
                return ToolGoal(*self.stay, 0.0, CLOSE_SPEED)
            return self._back_out(grasp.open_jaw)
        shut = self.jaw < grasp.closed_jaw + JAW_MARGIN
        if self._near_brick() and (shut or lateral > LATERAL_LIMIT):
            return self._back_out(grasp.open_jaw)
        distance = PREGRASP if shut else self._retreat(lateral, angle)
        return ToolGoal(
            grasp.behind(distance), grasp.quat, grasp.open_jaw, self._grip_speed(-where[0])
        )

    def _leaving(self, where: NDArray[np.float64], lateral: float) -> bool:
        """Whether the hand is on its way out again, which it goes to the end."""
        near = np.linalg.norm(where) < BLOCKED_GRASP
        if near or where[0] < -PREGRASP or lateral > LATERAL_LIMIT:
            return False
        ahead = quat_rotate(self.quat, np.array([1.0, 0.0, 0.0]))
        return float(self.expert.velocity(self.robot, self.arm) @ ahead) < -LEAVING_SPEED

    def _lodged(self, brick: int) -> bool:
        """Whether another loose brick is stuck between the fingers, above the pads.

        Around a brick in a stack it is the stack that stands there.
        """
        if self._clutched(brick):
            return False
        offset = quat_rotate(quat_conjugate(self.quat), self.state.pos - self.pos)
        inside = (offset[:, 0] < -0.028) & (offset[:, 0] > -0.09)
        inside &= np.hypot(offset[:, 1], offset[:, 2]) < 0.03
        inside &= ~(self.state.joined | self.state.joined.T).any(axis=1)
        inside[self.state.gripped[self.state.gripped != NO_BRICK]] = False
        inside[brick] = False
        return bool(inside.any())

    def _over_rims(self, goal: ToolGoal) -> ToolGoal:
        """The goal, but above the wall of a tray as long as the way to it leads across one."""
        way = self.pos[:2] + np.linspace(0.0, 1.0, 12)[1:, None] * (goal.pos - self.pos)[:2]
        reach = BIN_HALF_SIZE + WALL
        inside = (np.abs(way[:, None] - self.state.bins) < reach).all(axis=2)
        here = (np.abs(self.pos[:2] - self.state.bins) < reach).all(axis=1)
        if (inside == here).all():
            return goal
        height = RIM_CLEARANCE
        if self.held != NO_BRICK:
            below = half_height(self.state.quat[self.held], self.state.half_size[self.held])
            height += max(0.0, self.pos[2] - self.state.pos[self.held, 2] + below)
        if self.pos[2] < height:
            up = np.array([*self.pos[:2], height + 0.02])
            return replace(goal, pos=up, quat=self.quat, speed=min(goal.speed, 0.30))
        over = np.array([*goal.pos[:2], max(goal.pos[2], height + 0.01)])
        return replace(goal, pos=over)

    def _retreat(self, lateral: float, angle: float) -> float:
        """How far behind the grasp a hand aims that is off its line: a funnel without steps."""
        off = max(0.0, lateral - FUNNEL_CORE) + FUNNEL_TURN * max(0.0, angle - ANGLE_TOLERANCE)
        return min(PREGRASP, FUNNEL_SLOPE * off)

    def _grip_speed(self, distance: float) -> float:
        return float(np.interp(distance, (0.02, 0.08), (CLOSE_SPEED, TRAVEL_SPEED)))

    def _settled(self, brick: int) -> NDArray[np.float64]:
        """Commanded tool position, lowered if the held cluster hangs in the air."""
        state = self.state
        group = next(g for g in clusters(state) if brick in g)
        if len(group) == 1:
            return self.stay[0]
        if self.expert.careful and np.linalg.norm(self.stay[0] - self.pos) > BLOCKED:
            # Something else holds the cluster up; a soft arm would press ever harder.
            return self.stay[0]
        floor = min(state.pos[i, 2] - half_height(state.quat[i], state.half_size[i]) for i in group)
        return self.stay[0] - np.array([0.0, 0.0, floor if floor > 0.004 else 0.0])

    def _open_for(self, brick: int) -> float:
        return min(1.0, self.jaw + 0.35)

    def _near_brick(self) -> bool:
        """Whether the fingers stand among bricks, so that moving sideways would hit one."""
        state = self.state
        reach = state.half_size[:, :2].max(axis=1)
        flat = np.linalg.norm(state.pos[:, :2] - self.pos[:2], axis=1) - reach
        over = np.abs(state.pos[:, 2] - self.pos[2])
        return bool(((flat < 0.024) & (over < 0.034)).any())

    def _back_out(self, jaw: float) -> ToolGoal:
        """Opens, then retreats the way the hand points; waits while a brick is between the pads."""
        if self.held != NO_BRICK or self.jaw < min(jaw - 0.15, OPEN_ENOUGH):
            return ToolGoal(*self.stay, jaw, CLOSE_SPEED)
        goal = self.pos + quat_rotate(self.quat, np.array([-0.08, 0.0, 0.0]))
        if self.expert.careful:
            if self.pos[2] > WORKING_HEIGHT:
                return ToolGoal(*self.expert.home(self.arm), jaw, 0.35)
            away = goal[:2] - np.array(BASE_POSES[ARMS[self.arm]][0][:2])
            short = BASE_ROOM - float(np.linalg.norm(away))
            if short > 0:
                goal[:2] += short * away / np.linalg.norm(away)
        return ToolGoal(goal, self.quat, jaw, 0.35)

    # ------------------------------------------------------------- carrying
    def _level(self, heading: NDArray[np.float64]) -> NDArray[np.float64]:
        """Present orientation, levelled for the held brick and turned to a horizontal heading."""
        level = quat_multiply(levelling(self.state.quat[self.held]), self.quat)
        # The jaw axis stays near the horizontal however the brick sits in the hand; at rest it is
        # the heading turned by 90°.
        jaw = quat_rotate(level, np.array([0.0, 1.0, 0.0]))
        turn = math.atan2(heading[0], -heading[1]) - math.atan2(jaw[1], jaw[0])
        turn = math.atan2(math.sin(turn), math.cos(turn))
        return quat_multiply(turn_about_z(turn), level)

    def _drop_point(self, brick: int, target: int) -> NDArray[np.float64]:
        """Freest slot of the tray, world (2,) [m]."""
        state = self.state
        slots = state.bins[target] + SLOTS
        others = (state.in_bin == target) & ~self._riders(brick)
        if self.expert.careful:
            others &= ~self._along(brick)
        others[brick] = False
        if not others.any():
            return slots[0]
        room = np.linalg.norm(slots[:, None] - state.pos[others, :2][None], axis=2).min(axis=1)
        room = np.minimum(room, 0.06).round(3)
        if self.expert.careful:
            room += STICKY * (np.linalg.norm(slots - state.pos[brick, :2], axis=1) < STICKY)
        return slots[int(room.argmax())]

    def _above_floor(self, brick: int, spot: NDArray[np.float64]) -> float:
        """How much lower the brick may go before it is let fall [m]."""
        state = self.state
        bottom = state.pos[brick, 2] - half_height(state.quat[brick], state.half_size[brick])
        near = np.linalg.norm(state.pos[:, :2] - spot, axis=1) < 0.045
        near &= ~self._riders(brick)
        near[brick] = False
        pile = float((state.pos[near, 2] + 0.01).max(initial=0.0))
        return bottom - pile - DROP_HEIGHT

    def _riders(self, brick: int) -> NDArray[np.bool_]:
        """Loose bricks that lie on a carried one and go wherever it goes, (n,)."""
        offset = self.state.pos - self.state.pos[brick]
        over = np.linalg.norm(offset[:, :2], axis=1) < RIDER_REACH
        return over & (offset[:, 2] > 0.5 * HEIGHT) & (offset[:, 2] < 1.8 * HEIGHT)

    def _along(self, brick: int) -> NDArray[np.bool_]:
        """Bricks so near the held one or so high beside it that they may move with it, (n,)."""
        gap = np.linalg.norm(self.state.pos - self.state.pos[brick], axis=1)
        return (gap < COMPANION_REACH) | ((gap < 0.08) & (self.state.pos[:, 2] > 2 * AIRBORNE))

    def _companions(self, brick: int) -> NDArray[np.bool_]:
        """Bricks that came along in the same hand: beside the held one, in the air, on nothing."""
        state = self.state
        beside = np.linalg.norm(state.pos - state.pos[brick], axis=1) < COMPANION_REACH
        beside &= ~(state.joined | state.joined.T).any(axis=1) & (state.pos[:, 2] > AIRBORNE)
        beside[state.gripped[state.gripped != NO_BRICK]] = False
        beside[brick] = False
        if self.expert.careful:
            for group in clusters(state):
                if len(group) > 1 and brick not in group:
                    gap = np.linalg.norm(state.pos[group] - state.pos[brick], axis=1)
                    if gap.min() < COMPANION_REACH and state.pos[group, 2].min() > AIRBORNE:
                        beside[group] = True
        for i in np.flatnonzero(beside).tolist():
            offset = state.pos - state.pos[i]
            below = (offset[:, 2] < 0) & (offset[:, 2] > -AIRBORNE)
            beside[i] = not (below & (np.linalg.norm(offset[:, :2], axis=1) < RIDER_REACH)).any()
        return beside

    def _clutched(self, brick: int) -> bool:
        """Whether the brick hangs together with another."""
        joined = self.state.joined
        return bool(joined[brick].any() or joined[:, brick].any())

    def _blocked(self) -> bool:
        """Whether something keeps the tool from where it was sent."""
        gap = float(np.linalg.norm(self.stay[0] - self.pos))
        return self.expert.blocked(self.robot, self.arm, gap, BLOCKED)

    def _below_other(self) -> bool:
        """Whether the other hand carries a brick right above, so that this one has to wait."""
        other = int(self.state.gripped[1 - self.arm])
        if other in (NO_BRICK, self.held) or self._clutched(other):
            return False
        gap = np.linalg.norm(self.other_pos[:2] - self.pos[:2])
        return bool(gap < 0.13 and self.other_pos[2] > self.pos[2])

    def _clearance_height(self, brick: int) -> float:
        """Tool height that clears whatever stands near the held brick; 0 if nothing does [m]."""
        state = self.state
        gap = np.linalg.norm(state.pos[:, :2] - state.pos[brick, :2], axis=1)
        near = gap < 0.11
        near[brick] = False
        near[state.gripped[state.gripped != NO_BRICK]] = False
        near &= (state.in_bin == NO_BRICK) & ~self._riders(brick) & ~self._companions(brick)
        if not near.any() and state.in_bin[brick] == NO_BRICK:
            edge = np.abs(state.pos[brick, :2] - state.bins).max(axis=1).min()
            if edge > BIN_HALF_SIZE + 0.06:
                return 0.0
            near_top = 0.03
        elif not near.any():
            return 0.0
        else:
            near_top = float(state.pos[near, 2].max()) + 0.012
        hang = self.pos[2] - state.pos[brick, 2]
        hang += half_height(state.quat[brick], state.half_size[brick])
        return min(near_top + hang + LIFT_CLEARANCE * 0.5, MAX_HEIGHT)
