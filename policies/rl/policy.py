"""``--policy rl_separate``: an agent trained by reinforcement learning as chunk source.

Like the oracle it sees the privileged state and answers with its own exact future, rehearsed in the
simulator of the episode: an agent without model error, behind whatever latency and strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from assets import AGENT_DIR
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.state import BlockState
from envs.control_rate import check_recorded_rate
from policies.rl.agent import Agent, load_agent
from policies.rl.controller import Controller
from policies.rl.decisions import DECISION_TICKS
from policies.scripted.motion import ToolGoal
from policies.scripted.oracle import HORIZON, ChunkOracle
from policies.table import Policy, PolicySpec
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.fields import CheckedFields
from xr0_sim.types import ActionChunk, ChunkRequest, Observation, RobotState

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.xr0.checkpoints import Weights

SHIPPED_AGENT = "separate"
THEN = ("expert", "stay")


@dataclass(frozen=True)
class RlSeparate(CheckedFields, PolicySpec):
    """Takes bricks apart as an agent learnt it.

    Attributes:
        agent: Agent file of ``xr0-sim train-rl``; the one that ships by default.
        then: What the arms do while no brick is to be taken off another: ``expert``, the scripted
            expert sorts what is loose, or ``stay``.
    """

    looks: ClassVar[bool] = False
    rehearses: ClassVar[bool] = True

    agent: str = ""
    then: str = "expert"

    def __post_init__(self) -> None:
        """Rejects what does not exist."""
        if self.then not in THEN:
            raise unknown_name("RlSeparate.then", self.then, THEN)

    def load(self, weights: Weights | None) -> Policy:
        """Reads the agent; see `PolicySpec.load`."""
        path = Path(self.agent) if self.agent else AGENT_DIR / f"{SHIPPED_AGENT}.safetensors"
        agent = load_agent(path)

        def bind(env: DualArmEnv) -> AgentChunkModel:
            check_recorded_rate(env.control_hz, CONTROL_HZ, "policy rl_separate")
            return AgentChunkModel(env, agent, self.then == "expert")

        return Policy(bind, looks=False)


class AgentPlayer:
    """Plays an agent tick by tick, from any scene.

    Args:
        agent: Decides every `DECISION_TICKS` ticks.
        controller: Of the robot.
        expert_sorts: Whether the scripted expert moves while there is no two-handed job.
    """

    def __init__(self, agent: Agent, controller: Controller, expert_sorts: bool) -> None:
        self._agent = agent
        self._controller = controller
        self._expert_sorts = expert_sorts
        self._goals: tuple[ToolGoal, ToolGoal] | None = None
        self._ticks_left = 0

    def begin(self) -> None:
        """The next tick is one of a decision."""
        self._goals, self._ticks_left = None, 0

    def action(
        self, robot: RobotState, state: BlockState, tempo: float = 1.0
    ) -> NDArray[np.float64]:
        """Joint action (14,) of the next tick; an agent has one tempo."""
        del tempo
        if self._ticks_left == 0:
            self._decide(robot, state)
        if self._goals is not None:
            self._ticks_left -= 1
            return self._controller.action(robot, self._goals)
        if self._expert_sorts:
            return self._controller.expert.action(robot, state)
        return robot.command.copy()

    def _decide(self, robot: RobotState, state: BlockState) -> None:
        situation = self._controller.situation(robot, state)
        self._goals = None
        if situation is not None:
            decision = self._agent.decide(situation.features())
            self._goals = self._controller.goals(situation, decision)
            self._ticks_left = DECISION_TICKS


class AgentChunkModel:
    """An agent behind the `xr0_sim.types.ChunkModel` port.

    Args:
        env: The running environment; must stand at the tick that is asked about.
        agent: What was trained.
        expert_sorts: See `AgentPlayer`.
    """

    needs_images = False
    capabilities = frozenset({"prefix", "roll_forward"})
    horizon = HORIZON

    def __init__(self, env: DualArmEnv, agent: Agent, expert_sorts: bool = True) -> None:
        if not isinstance(env, BlockDismantlingEnv):
            raise ConfigError(
                f"policy 'rl_separate': expected env block_dismantling, which has bricks to take "
                f"apart, got {type(env).__name__}; choose another policy"
            )
        self._player = AgentPlayer(agent, Controller(env.kinematics), expert_sorts)
        self._oracle = ChunkOracle(env, self._player)

    def reset(self, episode_seed: int) -> None:
        """Nothing to forget: what is decided holds for a chunk at the most."""

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]

    def infer_request(self, request: ChunkRequest) -> list[ActionChunk]:
        """See `xr0_sim.types.RequestChunkModel.infer_request`."""
        self._player.begin()
        return [self._oracle.chunk(request, self.horizon)]
