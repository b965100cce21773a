"""The scripted expert of towel folding: closed loop, memoryless, on privileged state.

A hand comes down upright across the edge, one finger on the table and one on the cloth, and closes
*across* the edge: the inner finger pushes the cloth into a ridge, which ends up between the pads.
What was pinched is then steered, not the hand: its mirror partner is the goal. After a failed grasp
the next one turns, see `TURNS`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.robot.facts import HOME_JAW
from envs.robot.kinematics import DualArmKinematics
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.disturbances import SPOT
from envs.towel_folding.grasp_record import MISSED_JAW
from envs.towel_folding.material import material_of
from envs.towel_folding.state import TowelState
from policies.scripted.expert import ScriptedExpert
from policies.scripted.grasping import Grasp, hand_quat
from policies.scripted.motion import ToolGoal
from policies.scripted.towel.edge_grasp import TILT, TIP_BELOW_TOOL, across, edge_grasp
from policies.scripted.towel.fold_view import FoldView
from policies.scripted.towel.jaws import GRASP_JAW, RELEASE_JAW, closing
from policies.scripted.towel.over_heap import leaning_back, passing_height
from policies.scripted.towel.plan import (
    HUNG,
    IN_REACH,
    LANDED,
    SHAKE_JAW,
    Job,
    TowelPlanner,
    caught,
)
from policies.scripted.towel.spread import SIDES, Spread, is_spread
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.rotations import quat_from_rotvec, quat_multiply
from xr0_sim.types import RobotState

TRAVEL_SPEED = 0.42
DESCENT_SPEED = 0.14
CARRY_SPEED = 0.28
LOWER_SPEED = 0.10
SPREAD_SPEED = 0.35
LEAVE_SPEED = 0.20
TOUCHED_DOWN = 0.0030
"""Height of finger tips at which they have come down on the table [m]."""
SLIP = 0.04
"""How far outward a hand that still touches a heap leaves, for 5 cm up [m]; chosen."""
SHAKE_HEIGHT = 0.030
"""Tool height at which cloth that came along is put back [m]."""
HOOKED, HOOK_REACH = 0.028, 0.04
"""Height of a corner that hangs on an open hand, and its distance from the tool [m]; chosen."""
HOVER = 0.05
"""Greatest height above the grasp that a hand on its way to it aims at [m]."""
CLEAR_OF, CLEAR_OF_FLAT = 0.04, 0.012
"""Distance from its grasp from which on a hand that touches cloth goes up first, in general and at
an edge that lies where it is to be taken from [m]; chosen. A flat towel goes along with a hand that
touches it: one that follows its corner sideways never gets there. Cloth that is pinched between its
mass points, as in world 0.1, is taken as before."""
FUNNEL_CORE, FUNNEL_SLOPE, FUNNEL_TURN = 0.005, 1.5, 0.10
"""Distance from its line within which a hand comes straight down [m]; rise per distance beyond it;
metres of distance that a radian of turn counts as."""
ALONG_WEIGHT = 0.4
"""How much distance along the edge counts, where a few millimetres do not matter."""
SHUT_LIFT, SHUT_SPAN = 0.03, 0.15
"""How far above the grasp a shut hand opens [m], and the opening over which that fades."""
READY_JAW = 0.34
"""Opening from which a hand may come down and close."""
GRASP_TOLERANCE = 0.005
STUCK_REACH, STANDING = 0.012, 0.010
"""Distance from the grasp at which a hand at a heap closes that stands still [m], and the speed
below which it does [m/s]; chosen."""
ANGLE_TOLERANCE = 0.12
CREEP_JAW = 0.20
"""Opening from which a closing hand rises a little, so that no finger sticks to the table."""
CLOSING_REACH, CLOSING_HEIGHT, CLOSING_JAW = 0.020, 0.012, 0.37
"""A hand closes on, this near to the grasp [m] and this little above it [m], once its jaw is less
open than that."""
CLOSING_RISE = 0.045
"""The same for a shut hand at a heap [m]; chosen, half as high as heaps are."""
EARLY_HEIGHT, DOWN_SLACK = 0.003, 0.001
"""A hand higher above the grasp than this comes down before its jaw shuts further, unless it has
been told to already, this nearly, and cloth is in the way [m]."""
REACH_JAWS, OPEN_REACH = (0.05, 0.12), 0.0045
"""Distance from its line within which a jaw closes on, as long as it is more open than these [m];
a hand further away opens again and is put right, instead of pinching beside the edge."""
REACH_JAWS_AT_POINTS = (0.24, 0.34)
"""The same where an edge is pinched at its mass points: a hand that has begun to close goes on. A
policy that reads the edge some millimetres off would else open and close in turns for ever."""
CLOSING_RATE, HEAP_CLOSING_RATE = 0.75, 12.0
"""How fast a jaw closes [1/s]; a policy that begins a tick too early has come down in time.
Pinches that have to carry a whole towel are closed at once."""
CREEP = 0.036
"""How fast it rises [m/s]."""
ARC_HEIGHT = 0.12
"""Highest point of a carried corner [m]."""
HANG_BACK = 0.13
"""How far before its landing place an edge that has come over, but not to its place, is lifted
until it hangs [m]; chosen. Drawn over the table it would turn up a hem, its crease would stay."""
LOOKAHEAD = 0.06
"""How far ahead on the arc a hand is sent [m]."""
LEAN = math.radians(25.0)
"""How far a hand alone leans back by the end of its way; upright it would not get there."""
LAG = 0.02
"""A hand this much ahead of the other waits for it [m]."""
HOLD_HEIGHT = 0.018
"""Tool height at which a hand waits for the other one, clear of the table [m]."""
DRAW_AHEAD = 0.03
"""How far ahead a hand is sent that draws the towel over the table [m]."""
LANDING_HEIGHT = 0.021
"""Height a pinched point is lowered to [m]."""
SLIDE_PRESS, SLIDE_SPEED, SLIDE_AHEAD = 0.008, 0.15, 0.030
"""Depth below the top of a folded towel to which a hand presses that slides it [m]; its speed
[m/s]; how far ahead it is sent [m]."""
SLIDE_HEIGHT, SLIDE_REACH, TOP_SHARE = 0.006, 0.05, 80
"""A hand this much above that depth [m] and this near to the middle [m] presses on the towel; share
of the mass points, in percent, that lie below its top."""
SAFE_HEIGHT = 0.07
"""Tool height above which a hand may move sideways [m]."""
WOUND, UNWIND_HEIGHT = 1.2, 0.10
"""Largest joint angle off the resting posture [rad] from which on an arm that goes to rest moves
its joints, not its tool, and the tool height it needs for that [m]."""

BENDS, LONG_WAY = slice(1, 5), 0.10
"""Joints between the waist and the turn of the hand; distance from the grasp across the table from
which on a hand above a heap first takes up its resting posture if they are wound [m]."""


class TowelExpert(ScriptedExpert):
    """Maps (robot state, towel state) to the joint action of the next tick.

    Attributes:
        jobs: Per arm, what it was last asked to do.
        at_points: Whether it pinches an edge at its mass points, not between them.
    """

    def __init__(self, kinematics: DualArmKinematics | None = None):
        super().__init__(kinematics)
        material = material_of(self._kinematics.world)
        self._planner = TowelPlanner(material.firm_jaw)
        self.at_points = material.at_points
        self.jobs = (Job("rest"), Job("rest"))

    @property
    def phase(self) -> tuple[str, str]:
        """Per arm, what it is doing, e.g. ``("carry", "carry")``."""
        left, right = self.jobs
        return left.kind, right.kind

    def goals(self, robot: RobotState, state: TowelState) -> tuple[ToolGoal, ToolGoal]:
        """Where both tools should go now."""
        done = state.spread or is_spread(state, closing(robot, state), self.control_hz)
        spread = None if done else Spread.of(state, robot.tool_pos)
        view = FoldView.of(state) if state.spread else None
        if spread is None:
            self.jobs = jobs = self._planner.jobs(robot, state, view)
        else:
            self.jobs = jobs = self._planner.spreading(robot, state, spread)
        views = [_ArmView(a, robot, state, view, spread, self) for a in range(2)]
        return views[0].goal(jobs[0]), views[1].goal(jobs[1])


class _ArmView:
    """One arm at one tick: everything a job needs to become a tool goal."""

    def __init__(
        self,
        arm: int,
        robot: RobotState,
        state: TowelState,
        view: FoldView | None,
        spread: Spread | None,
        expert: TowelExpert,
    ):
        self.arm, self.state, self.expert = arm, state, expert
        self._view, self._spread_plan = view, spread
        self.heap = spread is not None
        # Edges of a towel that was a heap are wavy; a hand that waits for its line waits for ever.
        self.careful = spread is None and not state.to_place
        self.edge_axis = spread.edge.axis if spread else view.fold.axis if view else 0
        self.pos, self.quat = robot.tool_pos[arm], robot.tool_quat[arm]
        self.joints = robot.joint_pos[arm]
        self.velocity = expert.velocity(robot, arm)
        self.stay = expert.commanded(robot)[arm]
        self.jaw = float(robot.jaw[arm])
        self.jaw_command = float(robot.command[arm * ARM_ACTION_DIM + ARM_ACTION_DIM - 1])
        self.held = int(state.held[arm])
        self.caught = caught(robot, state, arm)

    @property
    def view(self) -> FoldView:
        """The fold under way; jobs that ask for it exist only while there is one."""
        assert self._view is not None
        return self._view

    @property
    def spread(self) -> Spread:
        """The edge that is lifted; jobs that ask for it exist only for a towel to be spread."""
        assert self._spread_plan is not None
        return self._spread_plan

    def goal(self, job: Job) -> ToolGoal:
        return getattr(self, f"_{job.kind}")(job.corner)

    # ------------------------------------------------------------- jobs
    def _rest(self, _: int) -> ToolGoal:
        pos, quat = self.expert.home(self.arm)
        if self.pos[2] < SAFE_HEIGHT and np.linalg.norm(pos[:2] - self.pos[:2]) > 0.03:
            return self._leave(NOTHING)
        wound = float(np.abs(self.joints - self.expert.home_posture).max()) > WOUND
        way = self.expert.home_posture if wound and self.pos[2] > UNWIND_HEIGHT else None
        return ToolGoal(pos, quat, HOME_JAW, TRAVEL_SPEED, way)

    def _cornered(self, aside: float) -> bool:
        """Whether a free hand has a long way to go from a posture at the ends of its joints.

        Hands that lose a lifted towel are left in one, and no way of the tool leads out of it.
        """
        bends = np.abs(self.joints - self.expert.home_posture)[BENDS]
        high = float(self.pos[2]) > UNWIND_HEIGHT and aside > LONG_WAY
        return self.heap and high and float(bends.max()) > WOUND

    def _leave(self, _: int) -> ToolGoal:
        """Opens, then goes straight up.

        Where cloth comes along, the hand opens wide, puts it back, and grips it to let go anew.
        """
        if self.held == NOTHING and self.caught:
            if self.jaw < SHAKE_JAW:
                return ToolGoal(*self.stay, HOME_JAW, LOWER_SPEED)
            if self.pos[2] < SHAKE_HEIGHT:
                return ToolGoal(*self.stay, 0.0, LOWER_SPEED)
            down = np.array([*self.stay[0][:2], SHAKE_HEIGHT - 0.005])
            return ToolGoal(down, self.stay[1], HOME_JAW, LEAVE_SPEED)
        if self.held != NOTHING or self.jaw < RELEASE_JAW - 0.06:
            return ToolGoal(*self.stay, RELEASE_JAW, LOWER_SPEED)
        up = np.array([*self.stay[0][:2], self.pos[2] + 0.05])
        if self.state.touched[self.arm] and not self.state.spread:
            # A finger under the edge would take it along; it slips out across it.
            middle = self.state.points[:, :2].mean(axis=0)
            outward = self.pos[:2] - middle
            up[:2] += SLIP * outward / max(float(np.linalg.norm(outward)), 1e-9)
        return ToolGoal(up, self.stay[1], RELEASE_JAW, LEAVE_SPEED)

    def _let_go(self, _: int) -> ToolGoal:
        return ToolGoal(*self.stay, RELEASE_JAW, LOWER_SPEED)

    def _hold(self, _: int) -> ToolGoal:
        """Clear of the table; pressed down on it, the pinch would be squeezed out.

        A hand at a spread towel that has drifted higher comes back: it would lift the edge out of
        the other one's reach. Where the other one does not get as far, it draws the towel over.
        """
        height = max(float(self.stay[0][2]), HOLD_HEIGHT) if self.heap else HOLD_HEIGHT
        pos = np.array([*self.stay[0][:2], height])
        if not self.heap and None not in self.view.pairs:
            other = 1 - self.arm
            far = self.view.beyond_middle(self.state, other) > IN_REACH
            if far and not self.state.touched[other]:
                pos[1] += SIDES[other] * DRAW_AHEAD
        return ToolGoal(pos, self.stay[1], 0.0, LOWER_SPEED)

    def _wait(self, _: int) -> ToolGoal:
        return ToolGoal(*self.stay, 0.0, LOWER_SPEED)

    def _grasp(self, corner: int) -> ToolGoal:
        """Comes down open through a funnel, shuts the jaw slowly; rises before it opens again.

        Low hands near their line close, others open, whatever the jaw does at the moment: what
        comes next can be read off a picture.
        """
        grasp = self._edge_grasp(corner)
        where, angle = grasp.relative(self.pos, self.quat)
        aside = float(np.linalg.norm(self.pos[:2] - grasp.pos[:2]))
        low = self.pos[2] < grasp.pos[2] + self._closing_height()
        lateral = float(np.hypot(where[1], ALONG_WEIGHT * where[2]))
        near = lateral < self._reach() if self.careful else aside < CLOSING_REACH
        if low and self.jaw_command < CLOSING_JAW and near:
            return self._close(grasp)
        if self._hooked(corner):
            return ToolGoal(*self.stay, 0.0, LOWER_SPEED)
        if self._cornered(aside):
            home = self.expert.home_posture
            return ToolGoal(grasp.pos, grasp.quat, GRASP_JAW, TRAVEL_SPEED, home)
        to_go = self.view.to_go(self.state, corner) if self.careful else 0.0
        flat = self.expert.at_points and to_go > HANG_BACK
        lift = self._lift(aside if flat else lateral, angle)
        if self.heap:
            height = passing_height(self.state.points, self.pos, grasp.pos) - grasp.pos[2]
            lift = max(lift, min(height, FUNNEL_SLOPE * (aside - CLEAR_OF)))
        gap = np.array([*(grasp.pos[:2] - self.pos[:2]), grasp.pos[2] + lift - self.pos[2]])
        if self.state.touched[self.arm] and aside > (CLEAR_OF_FLAT if flat else CLEAR_OF):
            gap[:2] = 0.0  # it would push the cloth along before it
            gap[2] = max(gap[2], HOVER)
        distance = float(np.linalg.norm(gap))
        down = min(0.0, gap[2]) if self.pos[2] > TOUCHED_DOWN + TIP_BELOW_TOOL else 0.0
        off = float(np.hypot(aside, down))
        ready = lift == 0.0 and off < GRASP_TOLERANCE
        # A hand that rests on folds of a heap, or on the other one, gets no nearer.
        ready = ready or (not self.careful and off < STUCK_REACH and self._stands())
        speed = float(np.interp(distance, (0.02, 0.08), (DESCENT_SPEED, TRAVEL_SPEED)))
        jaw = self._closed_further() if ready else GRASP_JAW
        return ToolGoal(self.pos + gap, grasp.quat, jaw, speed)

    def _hooked(self, corner: int) -> bool:
        """Whether the corner hangs on an open hand; where that went, the towel would be drawn."""
        here = self.state.points[corner]
        near = float(np.linalg.norm(here - self.pos)) < HOOK_REACH
        return not self.heap and bool(self.state.touched[self.arm]) and near and here[2] > HOOKED

    def _closing_height(self) -> float:
        """How far above the grasp a hand closes on.

        At a heap a shut hand rises until it holds or misses what is between its pads: one that
        opened again would never count as failed, and do the same for ever.
        """
        shut = self.jaw_command < MISSED_JAW < self.jaw
        return CLOSING_RISE if shut and self.heap else CLOSING_HEIGHT

    def _stands(self) -> bool:
        return float(np.linalg.norm(self.velocity)) < STANDING

    def _close(self, grasp: Grasp) -> ToolGoal:
        """Shuts the jaw of a low hand, after it has come down all the way; rises at the end."""
        if self.jaw < MISSED_JAW:
            up = self.stay[0] + np.array([0.0, 0.0, HOVER])
            return ToolGoal(up, self.stay[1], 0.0, LEAVE_SPEED)
        if self.jaw < CREEP_JAW or not self.careful:
            creep = CREEP / self.expert.control_hz if self.jaw < CREEP_JAW else 0.0
            rising = self.stay[0] + np.array([0.0, 0.0, creep])
            return ToolGoal(rising, self.stay[1], self._closed_further(), LOWER_SPEED)
        down = np.array([*self.stay[0][:2], min(self.stay[0][2], grasp.pos[2])])
        blocked = self.stay[0][2] < grasp.pos[2] + DOWN_SLACK
        early = self.pos[2] > grasp.pos[2] + EARLY_HEIGHT and not blocked
        jaw = self.jaw_command if early else self._closed_further()
        return ToolGoal(down, self.stay[1], jaw, DESCENT_SPEED)

    def _reach(self) -> float:
        """How far beside the grasp a jaw closes on; an open one is put right first."""
        jaws = REACH_JAWS_AT_POINTS if self.expert.at_points else REACH_JAWS
        return float(np.interp(self.jaw_command, jaws, (CLOSING_REACH, OPEN_REACH)))

    def _closed_further(self) -> float:
        """Opening of a closing jaw a tick from now."""
        rate = HEAP_CLOSING_RATE if self.heap else CLOSING_RATE
        return max(0.0, min(self.jaw_command, GRASP_JAW) - rate / self.expert.control_hz)

    def _lift(self, lateral: float, angle: float) -> float:
        """How far above the grasp a hand aims that is off its line or shut: a funnel, no steps."""
        off = max(0.0, lateral - FUNNEL_CORE) + FUNNEL_TURN * max(0.0, angle - ANGLE_TOLERANCE)
        shut = SHUT_LIFT * min(max(READY_JAW - self.jaw, 0.0) / SHUT_SPAN, 1.0)
        return min(HOVER, max(FUNNEL_SLOPE * off, shut))

    def _carry(self, _: int) -> ToolGoal:
        """Along an arc, the laggard setting the pace, then straight down."""
        state, view = self.state, self.view
        point = self.held
        low = LANDING_HEIGHT + view.stack
        to_go = view.to_go(state, point)
        other = int(state.held[1 - self.arm])
        pace = max(to_go, view.to_go(state, other)) if other != NOTHING else to_go
        span = 2.0 * abs(float(view.places[point, view.fold.axis]))
        here = state.points[point]
        landing = state.points[view.partner[point], :2]
        ahead = max(pace - LOOKAHEAD, 0.0) if to_go > pace - LAG else pace
        lifted = state.peak[self.arm] > HUNG
        if not lifted:
            ahead = max(ahead, HANG_BACK)
        share = min(max(1.0 - 2.0 * ahead / max(span, 0.05), -1.0), 1.0)
        height = low + ARC_HEIGHT * math.sqrt(1.0 - share**2)
        goal = np.array([*(landing - ahead * view.direction), height])
        speed = CARRY_SPEED
        if abs(to_go) < 0.02 and lifted:
            speed = LOWER_SPEED
        elif ahead == 0.0 and lifted:
            goal[2] = max(height, min(here[2], 0.6 * max(to_go - LANDED, 0.0) + low))
        offset = self.pos - here
        quat = self._leaning(0.5 + 0.5 * share) if None in view.pairs else self.stay[1]
        return ToolGoal(goal + offset, quat, 0.0, speed)

    def _spread(self, _: int) -> ToolGoal:
        """Up, down, or over in an arc, both hands alike; a hand alone towards its own side."""
        offset = self.pos - self.state.points[self.held]
        alone = self.state.held[1 - self.arm] == NOTHING
        way = self.spread.goal_alone if alone else self.spread.goal
        goal = way(self.state, self.arm)
        goal[2] = max(goal[2], LANDING_HEIGHT)
        quat = leaning_back(self.arm, self.pos, self.stay[1], self.joints)
        return ToolGoal(goal + offset, quat, 0.0, SPREAD_SPEED)

    def _slide(self, corner: int) -> ToolGoal:
        """Comes down on the middle of the towel, presses, and goes where the towel has to go.

        Given a mass point, presses that one down where it stands up.
        """
        points = self.state.points
        middle, top = points[:, :2].mean(axis=0), float(np.percentile(points[:, 2], TOP_SHARE))
        gap = SPOT - middle
        if corner != NOTHING:
            middle, gap = points[corner, :2], np.zeros(2)
        low = top - SLIDE_PRESS + TIP_BELOW_TOOL
        quat = hand_quat(np.array([1.0, 0.0]), TILT)
        aside = float(np.linalg.norm(middle - self.pos[:2]))
        if self.pos[2] < low + SLIDE_HEIGHT and aside < SLIDE_REACH:
            far = max(float(np.linalg.norm(gap)), 1e-9)
            ahead = self.pos[:2] + gap * min(1.0, SLIDE_AHEAD / far)
            return ToolGoal(np.array([*ahead, low]), self.stay[1], RELEASE_JAW, SLIDE_SPEED)
        lift = min(HOVER, FUNNEL_SLOPE * max(0.0, aside - FUNNEL_CORE))
        speed = TRAVEL_SPEED if lift == HOVER else DESCENT_SPEED
        return ToolGoal(np.array([*middle, low + lift]), quat, RELEASE_JAW, speed)

    def _bring_back(self, corner: int) -> ToolGoal:
        """Takes a corner back to where it lies in the flat towel."""
        here = self.state.points[corner]
        place = self.view.flat_place(corner)
        gap = place - here[:2]
        far = float(np.linalg.norm(gap))
        height = LANDING_HEIGHT + self.view.stack + min(0.08, 0.8 * far)
        goal = np.array([*place, height]) + self.pos - here
        return ToolGoal(goal, self.stay[1], 0.0, CARRY_SPEED)

    # ------------------------------------------------------------- geometry
    def _edge_grasp(self, corner: int) -> Grasp:
        points = self.expert.at_points
        return edge_grasp(self.state, self.arm, corner, self.edge_axis, self.heap, points)

    def _leaning(self, share: float) -> NDArray[np.float64]:
        """Orientation of a hand alone, which leans back to its own side as it reaches over."""
        direction = self.view.direction
        lean = LEAN * min(max(share, 0.0), 1.0)
        axis = np.array([direction[1], -direction[0], 0.0])
        return quat_multiply(quat_from_rotvec(lean * axis), across(self.arm, direction))
