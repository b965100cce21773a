"""What each arm is to do next, and the hand pose that it is to reach: the goal of a stage.

The two-handed job – which arm pulls which brick while the other holds which – is the goal that an
agent is conditioned on. It comes from the plan of the scripted expert, which is a pure function of
the scene (`policies.scripted.blocks.plan`). How the hands get there is the agent's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK, BlockState
from policies.scripted.blocks.carrying import DROP_HEIGHT, drop_point, levelled
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.blocks.plan import Job
from policies.scripted.blocks.view import ArmView
from policies.scripted.grasping import LOOSE_TILT, half_height, loose_grasp, natural_heading
from xr0_sim.types import RobotState

GRASP, PLACE, IDLE = "grasp", "place", "idle"
TURN_HEIGHT = 0.09
"""Tool height above which a hand that carries a brick turns towards its tray [m]; chosen, so that
it turns beside nothing that stands on the table."""


@dataclass(frozen=True)
class Aim:
    """One arm's goal.

    Attributes:
        view: What the arm sees.
        kind: `GRASP` a brick, `PLACE` one in its tray, or `IDLE`.
        brick: The brick, or -1.
        pos: Tool position to reach, world (3,) [m].
        quat: Tool orientation there, wxyz.
        open_jaw: Opening fraction on the way in.
        closed_jaw: Opening fraction at which both pads touch the brick.
    """

    view: ArmView
    kind: str
    brick: int
    pos: NDArray[np.float64]
    quat: NDArray[np.float64]
    open_jaw: float = 1.0
    closed_jaw: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the brick is between the pads."""
        return self.brick != NO_BRICK and self.view.held == self.brick

    @property
    def wrist(self) -> NDArray[np.float64]:
        """Orientation the hand keeps or turns to now: that of the aim, unless it would twist."""
        if self.kind == GRASP:
            return self.view.stay[1] if self.holds else self.quat
        turns = self.kind == PLACE and self.view.pos[2] > TURN_HEIGHT
        return self.quat if turns else self.view.stay[1]


@dataclass(frozen=True)
class Pair:
    """Which brick is taken off, by which arm, from which brick in the other hand."""

    brick: int
    puller: int
    held: int


def pair_of(jobs: tuple[Job, Job]) -> Pair | None:
    """The two-handed job of a plan; None if it has none."""
    for puller, (own, other) in enumerate((jobs, jobs[::-1])):
        if own.kind in ("take", "pull") and other.kind == "hold":
            return Pair(own.brick, puller, other.brick)
    return None


def kept_jobs(state: BlockState, pair: Pair) -> tuple[Job, Job]:
    """Jobs of both arms that go on with a pair, also when it has come apart in nobody's hand."""
    joined = state.joined[pair.brick, pair.held] or state.joined[pair.held, pair.brick]
    taken = state.gripped[pair.puller] == pair.brick
    held = state.gripped[1 - pair.puller] == pair.held
    own = Job("take" if joined or taken else "pick", pair.brick)
    other = Job("hold", pair.held) if joined or held else Job("rest")
    return (other, own) if pair.puller else (own, other)


def aims(
    expert: BlockExpert, robot: RobotState, state: BlockState, jobs: tuple[Job, Job]
) -> tuple[Aim, Aim]:
    """Aims of both arms, left first."""
    left, right = (_aim(ArmView(arm, robot, state, expert), jobs[arm]) for arm in range(2))
    return left, right


def _aim(view: ArmView, job: Job) -> Aim:
    state, brick = view.state, job.brick
    if job.kind in ("take", "hold", "pull", "pick"):
        if job.kind == "pick":
            body = state.pos[brick], state.quat[brick], state.half_size[brick]
            grasp = loose_grasp(view.arm, *body, LOOSE_TILT)
        else:
            grasp = view.stacked(brick)
        jaws = grasp.open_jaw, grasp.closed_jaw
        return Aim(view, GRASP, brick, grasp.pos, grasp.quat, *jaws)
    if job.kind == "deliver":
        drop = drop_point(view, brick, int(state.target[brick]))
        offset = view.pos - state.pos[brick]
        height = half_height(state.quat[brick], state.half_size[brick]) + DROP_HEIGHT
        pos = np.array([*(drop[:2] + offset[:2]), height + offset[2]])
        quat = levelled(view, natural_heading(view.arm, drop))
        return Aim(view, PLACE, brick, pos, quat)
    return Aim(view, IDLE, NO_BRICK, view.stay[0], view.stay[1])
