"""Who does what at a towel: one job per arm, read off the scene, nothing remembered.

Both hands pinch the two corners of the moving edge and carry them over together::

    grasp ──► hold ──► carry ──► let_go ──► leave ──► rest
      ▲         │ the other hand has lost or not yet got its corner
      └─────────┴──► bring_back: lay the corner back where it came from, then start over

A fold whose crease lies beside its line is made anew: both hands pinch its edge where it lies, lift
it until it hangs, and lay it down.

A towel that has been folded is placed by one hand that presses on it and slides it over the table;
four layers are too thick to pinch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.towel_folding.assessment import LIFTED
from envs.towel_folding.cloth import SIDE
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.disturbances import SPOT
from envs.towel_folding.folds import MIRROR_LIMIT, corners
from envs.towel_folding.state import LIFT, TowelState
from policies.scripted.towel.fold_view import FoldView
from policies.scripted.towel.spread import LOW, OWN_CORNER, SIDES, Spread
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.types import RobotState

JOB_KINDS = (
    "rest",
    "grasp",
    "hold",
    "carry",
    "let_go",
    "leave",
    "bring_back",
    "wait",
    "spread",
    "slide",
)

PLACED = 0.030
"""Distance from its partner within which a released corner is left alone [m]."""
PLACED_HEIGHT = 0.030
ASTRAY = 0.120
"""Distance from its partner within which a low corner has been folded over, if not to its place: it
is put right there, not taken back [m]; chosen, the towel is 0.3 m wide."""
OUT_OF_REACH, IN_REACH = 0.16, 0.08
"""Distance beyond the middle of the table from which on an arm waits for the other one to draw its
corner nearer, and to which that one does [m]; chosen."""
HUNG = 0.100
"""Height from which on an edge has been lifted so far that it may be laid down [m]; chosen, on the
way of an ordinary fold, which comes to 0.13, it is reached before `HANG_BACK`."""
AT_HOME = 0.060
"""Distance from its flat place within which a corner need not be brought back [m]."""
LANDED = 0.026
"""Distance to the landing place, along the fold and across it, at which a corner is lowered and let
go [m]; what the pinch has gathered unfolds as far, and going on would drag the towel along."""
LETTING_GO, RELEASED_JAW, LEFT_HEIGHT = 0.060, 0.32, 0.055
"""Distance to the landing place, opening and tool height of a hand that has just let go [m]."""
CLOSES = 0.02
"""By how much less a jaw that closes is told to be open than it is; chosen, it lags by 0.045."""
OPENS = 0.10
"""Opening that a jaw which lets go is told at least; one that has missed is told to stay shut."""
OPENING = 0.03
"""By how much more a jaw that opens is told to be open than it is; chosen."""
PASSES = 0.10
"""Height, and distance beyond the middle line, from which on an arm is out of the way of the other
one that lifts the towel alone [m]; chosen."""
LANDED_ALONE = 0.028
"""The same for one hand on the middle of an edge, at the end of its arm's reach [m]."""
SHAKE_JAW = 0.60
"""Opening of a hand that puts back cloth it was caught in; no grasp begins as wide."""
CAUGHT_REACH, CAUGHT_HEIGHT = 0.035, 0.050
"""Cloth this near to the tool and this high has come up with an open hand [m]."""
ABOVE_HEAP = 0.050
"""The same above the middle height of a heap, which has high folds of its own [m]; chosen."""
DROPPED = LIFT
"""Height of a lifted edge from which a hand lays it out alone when the other has lost it [m]."""
ON_SPOT, STAYS = 0.012, 0.030
"""Distance to the marked spot at which a hand stops to slide the towel, and within which none
begins to [m]."""
BOTH_LAYERS, BESIDE = 0.045, 0.030
"""Height of the landing corner that betrays that it was picked up too [m], and how much lower than
the corner it may be then [m]; cloth that is lifted takes some along that lies under it."""


@dataclass(frozen=True)
class Job:
    """What an arm should do, and with which corner (a mass point, or -1)."""

    kind: str
    corner: int = NOTHING


def caught(robot: RobotState, state: TowelState, arm: int) -> bool:
    """Whether cloth that a hand does not hold has come up with it, or is being put back."""
    if state.held[arm] != NOTHING or not state.touched[arm]:
        return False
    if robot.jaw[arm] > SHAKE_JAW:
        return True
    high = CAUGHT_HEIGHT
    if not state.spread:
        high = max(high, float(np.median(state.points[:, 2])) + ABOVE_HEAP)
    if robot.tool_pos[arm, 2] < high:
        return False
    gaps = np.linalg.norm(state.points - robot.tool_pos[arm], axis=1)
    nearest = int(gaps.argmin())
    return bool(gaps[nearest] < CAUGHT_REACH and state.points[nearest, 2] > high)


def _parting(robot: RobotState, state: TowelState, arm: int) -> bool:
    """Whether a hand without a hold has to leave before it grasps anew.

    Cloth has come up with it, or it opens on what it has just let go, which it would pinch again.
    """
    told = robot.command[(arm + 1) * ARM_ACTION_DIM - 1]
    opens = robot.jaw[arm] + OPENING < told and robot.jaw[arm] < RELEASED_JAW
    if state.held[arm] == NOTHING and state.touched[arm] and opens:
        return True
    return caught(robot, state, arm)


def _in_the_way(robot: RobotState, other: int) -> bool:
    """Whether the other arm stands low where a hand alone lays the towel out, on its side."""
    pos = robot.tool_pos[other]
    return bool(pos[2] < PASSES and SIDES[1 - other] * pos[1] > -PASSES)


class TowelPlanner:
    """Chooses the jobs of both arms.

    Args:
        firm_jaw: Opening below which a pinch has closed [fraction].
    """

    def __init__(self, firm_jaw: float) -> None:
        self._firm_jaw = firm_jaw

    def jobs(self, robot: RobotState, state: TowelState, view: FoldView | None) -> tuple[Job, Job]:
        """Jobs of the left and the right arm."""
        if view is None:
            return self._placing(state)
        holds = [self._holds(robot, state, view, arm) for arm in range(2)]
        placed = [self._placed(state, view, arm) for arm in range(2)]
        if view.mirror_gap(state) > MIRROR_LIMIT and not self._lifted(state, holds):
            # A crease that lies beside its line is made anew by both hands.
            placed = [pair is None for pair in view.pairs]
        if not any(holds) and all(placed):
            return self._pressing(state, view)
        out = []
        for arm, pair in enumerate(view.pairs):
            stray = state.held[arm] != NOTHING and not holds[arm]
            away = caught(robot, state, arm) or self._letting_go(robot, state, view, arm)
            if stray or (not holds[arm] and away):
                out.append(Job("leave"))
            elif pair is None:
                out.append(self._depart(state, arm))
            elif not holds[arm]:
                waits = placed[arm] or not self._may_grasp(state, view, arm, holds)
                far = view.beyond_middle(state, arm) > OUT_OF_REACH
                waits = waits or (far and None not in view.pairs)
                out.append(self._depart(state, arm) if waits else Job("grasp", pair[0]))
            else:
                out.append(self._with_corner(state, view, arm, holds, placed))
        return out[0], out[1]

    def _with_corner(
        self,
        state: TowelState,
        view: FoldView,
        arm: int,
        holds: list[bool],
        placed: list[bool],
    ) -> Job:
        """Job of an arm that holds its corner."""
        corner, target = view.pair(arm)
        high = BOTH_LAYERS + view.stack
        least = max(high, state.points[corner, 2] - BESIDE)
        if state.points[target, 2] > least and state.points[corner, 2] > high:
            return Job("leave", corner)
        point = int(state.held[arm])
        to_go, height = view.to_go(state, point), state.points[point, 2]
        near = LANDED if None not in view.pairs else LANDED_ALONE
        aside = view.aside(state, point)
        landed = abs(to_go) < near and aside < LANDED and height < LOW + view.stack
        landed = landed and state.peak[arm] > HUNG
        if holds[1 - arm] or placed[1 - arm]:
            if landed:
                return Job("let_go", corner)
            if state.obstructed and to_go < SIDE:
                return Job("wait", corner)
            return Job("carry", corner)
        if state.points[corner, 2] > high or not self._settled(state, view, arm):
            return Job("bring_back", corner)
        return Job("hold", corner)

    def spreading(self, robot: RobotState, state: TowelState, spread: Spread) -> tuple[Job, Job]:
        """Jobs of both arms for a towel that has to be spread."""
        firm = [state.held[arm] != NOTHING and robot.jaw[arm] <= self._firm_jaw for arm in range(2)]
        if not all(firm) and (state.peak.max() > DROPPED or spread.alone != NOTHING):
            left, right = (
                self._spreading_alone(robot, state, spread, a, firm[a]) for a in range(2)
            )
            return left, right
        if all(firm):
            kind = "let_go" if spread.laid(state) else "spread"
            first, second = spread.corners
            return Job(kind, first), Job(kind, second)
        out = []
        for arm, corner in enumerate(spread.corners):
            away = caught(robot, state, arm) or state.held[arm] != NOTHING
            out.append(Job("hold" if firm[arm] else "leave" if away else "grasp", corner))
        return out[0], out[1]

    def _spreading_alone(
        self, robot: RobotState, state: TowelState, spread: Spread, arm: int, firm: bool
    ) -> Job:
        """Job of an arm while at most one of them holds the towel."""
        corner = spread.corners[arm]
        if not firm:
            grasps = spread.alone == arm and not _parting(robot, state, arm)
            return Job("grasp", corner) if grasps else self._depart(state, arm)
        if state.peak[arm] < DROPPED and _in_the_way(robot, 1 - arm):
            return Job("hold", corner)
        return Job("let_go" if spread.laid_alone(state, arm) else "spread", corner)

    def _placing(self, state: TowelState) -> tuple[Job, Job]:
        """Jobs when nothing is left to fold: one hand slides the towel to the spot."""
        away = float(np.linalg.norm(state.points[:, :2].mean(axis=0) - SPOT))
        slides = state.spread and state.to_place and not (state.held != NOTHING).any()
        near = ON_SPOT if state.touched.any() else STAYS
        if not slides or away < near:
            return self._depart(state, 0), self._depart(state, 1)
        return self._by_one(state, state.points[:, 1].mean(), Job("slide"))

    def _pressing(self, state: TowelState, view: FoldView) -> tuple[Job, Job]:
        """Jobs when all is in place, but a corner stands up, so that the fold does not count."""
        ends = corners(state.grid, view.fold)[:, 0]
        worst = int(ends[state.points[ends, 2].argmax()])
        if (state.held != NOTHING).any() or state.points[worst, 2] < LIFTED:
            return self._depart(state, 0), self._depart(state, 1)
        return self._by_one(state, state.points[worst, 1], Job("slide", worst))

    def _by_one(self, state: TowelState, side: float, job: Job) -> tuple[Job, Job]:
        """The job for the arm that touches the towel already, or on whose side `side` (y) is."""
        arm = 0 if side > 0 else 1
        if state.touched.sum() == 1:
            arm = int(state.touched.argmax())
        other = self._depart(state, 1 - arm)
        return (job, other) if arm == 0 else (other, job)

    @staticmethod
    def _depart(state: TowelState, arm: int) -> Job:
        busy = state.held[arm] != NOTHING or bool(state.touched[arm])
        return Job("leave" if busy else "rest")

    def _holds(self, robot: RobotState, state: TowelState, view: FoldView, arm: int) -> bool:
        """Whether an arm has closed on its own corner."""
        point = int(state.held[arm])
        if point == NOTHING or robot.jaw[arm] > self._firm_jaw:
            return False
        if view.pairs[arm] is None:
            return False
        gap = view.places[point] - view.places[view.pair(arm)[0]]
        return bool(np.linalg.norm(gap) < OWN_CORNER)

    @staticmethod
    def _placed(state: TowelState, view: FoldView, arm: int) -> bool:
        """Whether what an arm has to move lies where it belongs, or there is nothing to move."""
        if view.pairs[arm] is None:
            return True
        corner, target = view.pair(arm)
        gap = state.points[corner] - state.points[target]
        low = state.points[corner, 2] < PLACED_HEIGHT + view.stack
        return bool(low and np.linalg.norm(gap) < PLACED)

    @staticmethod
    def _lifted(state: TowelState, holds: list[bool]) -> bool:
        """Whether a hand has had what it holds off the table, and is on its way down with it."""
        return any(held and peak > HUNG for held, peak in zip(holds, state.peak, strict=True))

    @staticmethod
    def _settled(state: TowelState, view: FoldView, arm: int) -> bool:
        """Whether a hand waits with its corner: in its flat place, or folded over beside its own.

        A corner that has come over, if not to its place, is put right there, not taken back.
        """
        corner, target = view.pair(arm)
        here = state.points[corner, :2]
        over = float(np.linalg.norm(here - state.points[target, :2]))
        return over < ASTRAY or float(np.linalg.norm(here - view.flat_place(corner))) < AT_HOME

    @staticmethod
    def _letting_go(robot: RobotState, state: TowelState, view: FoldView, arm: int) -> bool:
        """Whether an arm has just opened over the landing place; it does not grasp from there.

        A hand that closes there to mend a fold passes the same opening; it is told to shut further.
        """
        jaw, told = float(robot.jaw[arm]), float(robot.command[(arm + 1) * ARM_ACTION_DIM - 1])
        if view.pairs[arm] is None or jaw > RELEASED_JAW or told < max(jaw - CLOSES, OPENS):
            return False
        low = robot.tool_pos[arm, 2] < LEFT_HEIGHT + view.stack
        return bool(low and view.to_go(state, view.pair(arm)[0]) < LETTING_GO)

    @staticmethod
    def _may_grasp(state: TowelState, view: FoldView, arm: int, holds: list[bool]) -> bool:
        """A corner that trails behind the other hand is waited for until that one stands."""
        if state.points[view.pair(arm)[0], 2] > BOTH_LAYERS + view.stack:
            return False
        return not holds[1 - arm] or TowelPlanner._settled(state, view, 1 - arm)
