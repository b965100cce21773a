"""What one arm sees of a block scene at one tick: its tool and what is near it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.bins import BIN_HALF_SIZE, WALL
from envs.block_dismantling.bricks import HEIGHT
from envs.block_dismantling.state import NO_BRICK, BlockState
from policies.scripted.blocks.clusters import clusters, hang, leans
from policies.scripted.grasping import (
    FINGER_ROOM,
    NARROW_MARGINS,
    Grasp,
    leaning_grasp,
    stacked_grasp,
)
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.rotations import quat_conjugate, quat_rotate
from xr0_sim.types import RobotState

if TYPE_CHECKING:
    from policies.scripted.blocks.expert import BlockExpert

BLOCKED = 0.006
"""Distance between commanded and present tool position that means contact, of a stiff arm [m]."""
LIFT_CLEARANCE = 0.045
"""How far a brick is raised above its neighbours before it moves sideways [m]."""
FINGER_DEPTH = 0.0135
"""Of a finger, from the pad's face outwards [m]."""
MAX_HEIGHT = 0.42
"""Highest tool position on a way [m]."""
RIDER_REACH = 0.035
"""Horizontal distance within which a brick lies on a carried one [m]."""
COMPANION_REACH, AIRBORNE = 0.045, 0.035
"""Distance within which a second brick is in the same hand, and the height of the middle of a brick
above whatever could bear it [m]."""


class ArmView:
    """One arm at one tick.

    Args:
        arm: Index of the arm.
        robot: Proprioception.
        state: Ground truth of the scene.
        expert: Knows homes, commands and whether the arms are soft.

    Attributes:
        pos: Tool position, world (3,) [m]; `quat`: its orientation, wxyz.
        stay: Tool pose that the present command stands for.
        other_pos: The other tool's position, world (3,) [m].
        jaw: Opening fraction; `jaw_command`: where it was sent.
        held: Brick between the pads, or -1.
    """

    def __init__(self, arm: int, robot: RobotState, state: BlockState, expert: BlockExpert):
        self.arm, self.robot, self.state, self.expert = arm, robot, state, expert
        self.pos, self.quat = robot.tool_pos[arm], robot.tool_quat[arm]
        self.stay = expert.commanded(robot)[arm]
        self.other_pos = robot.tool_pos[1 - arm]
        self.jaw = float(robot.jaw[arm])
        self.jaw_command = float(robot.command[arm * ARM_ACTION_DIM + ARM_ACTION_DIM - 1])
        self.held = int(state.gripped[arm])

    def stacked(self, brick: int) -> Grasp:
        """Grasp of a brick in a cluster."""
        state = self.state
        leaning = self.expert.careful and leans(state, brick)
        grasp_of = leaning_grasp if leaning else stacked_grasp
        grasp = grasp_of(self.arm, state.pos[brick], state.quat[brick], state.half_size[brick])
        return self._beside_walls(grasp) if self.expert.careful else grasp

    def _beside_walls(self, grasp: Grasp) -> Grasp:
        """The grasp, with the jaw open no wider than the wall of a tray beside it allows."""
        jaw = quat_rotate(grasp.quat, np.array([0.0, 1.0, 0.0]))[:2]
        for margin in NARROW_MARGINS:
            grasp = replace(grasp, margin=margin)
            reach = (grasp.width + margin) / 2 + FINGER_DEPTH
            tips = (grasp.pos[:2] + reach * jaw, grasp.pos[:2] - reach * jaw)
            if min(map(self.wall_room, tips)) >= FINGER_ROOM:
                break
        return grasp

    def blocked(self) -> bool:
        """Whether something keeps the tool from where it was sent."""
        gap = float(np.linalg.norm(self.stay[0] - self.pos))
        return self.expert.blocked(self.robot, self.arm, gap, BLOCKED)

    def near_brick(self) -> bool:
        """Whether the fingers stand among bricks, so that moving sideways would hit one."""
        state = self.state
        reach = state.half_size[:, :2].max(axis=1)
        flat = np.linalg.norm(state.pos[:, :2] - self.pos[:2], axis=1) - reach
        over = np.abs(state.pos[:, 2] - self.pos[2])
        return bool(((flat < 0.024) & (over < 0.034)).any())

    def wall_room(self, point: NDArray[np.float64]) -> float:
        """Horizontal distance from a point (2,) to the nearest wall of a tray [m]."""
        ring = np.abs(point - self.state.bins).max(axis=1) - BIN_HALF_SIZE
        return float(np.abs(ring - WALL).min()) - WALL

    def room(self, point: NDArray[np.float64], brick: int) -> float:
        """Horizontal distance from a point to tray walls and other bricks [m]."""
        state = self.state
        walls = self.wall_room(point)
        others = np.delete(np.arange(len(state.pos)), brick)
        if others.size == 0:
            return walls
        gap = np.linalg.norm(state.pos[others, :2] - point, axis=1)
        return min(walls, float((gap - state.half_size[others, :2].max(axis=1)).min()))

    def lodged(self, brick: int) -> bool:
        """Whether another loose brick is stuck between the fingers, above the pads.

        Around a brick in a stack it is the stack that stands there.
        """
        if self.clutched(brick):
            return False
        offset = quat_rotate(quat_conjugate(self.quat), self.state.pos - self.pos)
        inside = (offset[:, 0] < -0.028) & (offset[:, 0] > -0.09)
        inside &= np.hypot(offset[:, 1], offset[:, 2]) < 0.03
        inside &= ~(self.state.joined | self.state.joined.T).any(axis=1)
        inside[self.state.gripped[self.state.gripped != NO_BRICK]] = False
        inside[brick] = False
        return bool(inside.any())

    def clutched(self, brick: int) -> bool:
        """Whether the brick hangs together with another."""
        joined = self.state.joined
        return bool(joined[brick].any() or joined[:, brick].any())

    def carried(self, brick: int) -> list[int]:
        """A brick in the hand and whatever is clutched to it."""
        if not self.clutched(brick):
            return [brick]
        return next(group for group in clusters(self.state) if brick in group)

    def hang(self, brick: int) -> float:
        """How far below the middle of a brick in the hand its cluster reaches [m]."""
        return hang(self.state, brick, self.carried(brick))

    def riders(self, brick: int) -> NDArray[np.bool_]:
        """Loose bricks that lie on a carried one and go wherever it goes, (n,)."""
        offset = self.state.pos - self.state.pos[brick]
        over = np.linalg.norm(offset[:, :2], axis=1) < RIDER_REACH
        return over & (offset[:, 2] > 0.5 * HEIGHT) & (offset[:, 2] < 1.8 * HEIGHT)

    def along(self, brick: int) -> NDArray[np.bool_]:
        """Bricks so near the held one or so high beside it that they may move with it, (n,)."""
        gap = np.linalg.norm(self.state.pos - self.state.pos[brick], axis=1)
        return (gap < COMPANION_REACH) | ((gap < 0.08) & (self.state.pos[:, 2] > 2 * AIRBORNE))

    def companions(self, brick: int) -> NDArray[np.bool_]:
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

    def below_other(self) -> bool:
        """Whether the other hand carries a brick right above, so that this one has to wait."""
        other = int(self.state.gripped[1 - self.arm])
        if other in (NO_BRICK, self.held) or self.clutched(other):
            return False
        gap = np.linalg.norm(self.other_pos[:2] - self.pos[:2])
        return bool(gap < 0.13 and self.other_pos[2] > self.pos[2])

    def below_leaving(self) -> bool:
        """Whether the other hand, on its way to its own tray with a brick, is right above."""
        other = int(self.state.gripped[1 - self.arm])
        return self.below_other() and bool(self.state.target[other] == 1 - self.arm)

    def clearance_height(self, brick: int) -> float:
        """Tool height that clears whatever stands near the held brick; 0 if nothing does [m]."""
        state = self.state
        gap = np.linalg.norm(state.pos[:, :2] - state.pos[brick, :2], axis=1)
        near = gap < 0.11
        near[self.carried(brick)] = False
        near[state.gripped[state.gripped != NO_BRICK]] = False
        near &= (state.in_bin == NO_BRICK) & ~self.riders(brick) & ~self.companions(brick)
        if not near.any() and state.in_bin[brick] == NO_BRICK:
            edge = np.abs(state.pos[brick, :2] - state.bins).max(axis=1).min()
            if edge > BIN_HALF_SIZE + 0.06:
                return 0.0
            near_top = 0.03
        elif not near.any():
            return 0.0
        else:
            near_top = float(state.pos[near, 2].max()) + 0.012
        below = self.pos[2] - state.pos[brick, 2]
        below += self.hang(brick)
        return min(near_top + below + LIFT_CLEARANCE * 0.5, MAX_HEIGHT)
