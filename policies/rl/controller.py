"""Between an agent and the robot: aims, features, and a joint action per tick of a decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import BlockState
from envs.robot.kinematics import DualArmKinematics
from policies.rl.aims import PLACE, Aim, Pair, aims, kept_jobs, pair_of
from policies.rl.decisions import decision_of, tool_goals
from policies.rl.features import features
from policies.rl.teacher import decision
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.blocks.plan import BlockPlanner
from policies.scripted.motion import ToolGoal, ToolMover
from xr0_sim.types import RobotState


@dataclass(frozen=True)
class Situation:
    """What a decision is taken on.

    Attributes:
        pair: The two-handed job, the last one there was.
        hands: Aims, of the arm that pulls first.
        robot: Proprioception.
        state: Ground truth.
    """

    pair: Pair
    hands: tuple[Aim, Aim]
    robot: RobotState
    state: BlockState

    def features(self) -> NDArray[np.float32]:
        """See `policies.rl.features.features`."""
        return features(self.hands, self.robot, self.state)


class Controller:
    """Turns scenes into situations and decisions into joint actions; remembers nothing.

    Args:
        kinematics: Of the robot, with what its servos make of a command.

    Attributes:
        expert: The scripted expert of the same robot.
    """

    def __init__(self, kinematics: DualArmKinematics) -> None:
        self.expert = BlockExpert(kinematics)
        self._planner = BlockPlanner(any_way_up=self.expert.careful)
        self._mover = ToolMover(kinematics, BlockExpert.lets_off)

    def situation(
        self,
        robot: RobotState,
        state: BlockState,
        last: Pair | None = None,
        keeps: bool = False,
    ) -> Situation | None:
        """The situation of a scene; None where no brick is left to be taken off another.

        Args:
            robot: Proprioception.
            state: Ground truth.
            last: The job so far, kept where the plan has no two-handed one any more.
            keeps: Whether the arms go on with `last` there, instead of what the plan says: bricks
                that were carried off or knocked apart are still to be taken by those hands.
        """
        jobs = self._planner.jobs(state)
        planned = pair_of(jobs)
        pair = planned or last
        if pair is None:
            return None
        if planned is None and keeps:
            jobs = kept_jobs(state, pair)
        left, right = aims(self.expert, robot, state, jobs)
        return Situation(pair, (right, left) if pair.puller else (left, right), robot, state)

    def goals(
        self, situation: Situation, decision: NDArray[np.floating]
    ) -> tuple[ToolGoal, ToolGoal]:
        """Where a decision sends the left and the right tool."""
        return tool_goals(decision, situation.hands)

    def action(self, robot: RobotState, goals: tuple[ToolGoal, ToolGoal]) -> NDArray[np.float64]:
        """Joint action (14,) of the next tick."""
        return self._mover.action(robot, goals)

    def expert_decision(self, situation: Situation) -> NDArray[np.float32]:
        """What the scripted expert would decide, (8,)."""
        goals = self.expert.goals(situation.robot, situation.state)
        return decision_of(goals, situation.hands)

    def advice(self, situation: Situation) -> NDArray[np.float32]:
        """What the teacher would decide, (8,), see `policies.rl.teacher`."""
        asks = any(aim.kind == PLACE for aim in situation.hands)
        return decision(situation.hands, self.expert_decision(situation) if asks else None)
