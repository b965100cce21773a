"""The expert as chunk source: which actions follow after d committed ones.

The answer is exact: the episode is rehearsed in the simulator itself – snapshot, play the committed
prefix, let the expert roll on, restore – and goes on undisturbed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.dual_arm import DualArmEnv
from policies.scripted.experts import make_expert
from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.correction import CorrectionRequest
from xr0_sim.types import ActionChunk, ChunkRequest, Observation, RobotState

HORIZON = 30
"""Actions per chunk, as on XR-0's robots."""


@dataclass(frozen=True)
class SameMode:
    """Every chunk follows the expert's one way of doing the task."""

    def tempo(self, noise_seed: tuple[int, ...]) -> float:
        """Speed factor of a chunk."""
        return 1.0


@dataclass(frozen=True)
class RedrawnMode:
    """Every chunk draws its own tempo, as a sampling policy draws its own mode.

    Attributes:
        slowest: Lower end of the uniform speed factor.
        fastest: Upper end.
    """

    slowest: float = 0.55
    fastest: float = 1.1

    def tempo(self, noise_seed: tuple[int, ...]) -> float:
        """Speed factor of a chunk, fixed by its noise seed."""
        return float(np.random.default_rng(noise_seed).uniform(self.slowest, self.fastest))


Mode = SameMode | RedrawnMode


class Player(Protocol):
    """Whoever plays tick by tick on privileged state: a scripted expert, a trained agent."""

    def action(self, robot: RobotState, state: Any, tempo: float = 1.0) -> NDArray[np.float64]:
        """Joint action (14,) of the coming tick."""
        ...


class ChunkOracle:
    """Answers with the expert's own future, given committed actions.

    Args:
        env: The running environment; must stand at the tick that is asked about.
        expert: The player to roll; the expert of the environment's task if None.
    """

    def __init__(self, env: DualArmEnv, expert: Player | None = None):
        self.env = env
        self.expert: Player = expert or make_expert(env)

    def next_actions(
        self, prefix: NDArray[np.float64], steps: int = HORIZON, tempo: float = 1.0
    ) -> NDArray[np.float64]:
        """Actions (steps, 14) whose first rows are `prefix` (d, 14), then the expert's.

        Where the episode ends inside the chunk, the expert goes on: it moves to rest.
        """
        prefix = np.asarray(prefix, dtype=np.float64).reshape(-1, ENV_ACTION_DIM)
        if len(prefix) > steps:
            raise ConfigError(f"prefix: expected at most {steps} rows, got {len(prefix)}")
        actions = np.empty((steps, ENV_ACTION_DIM))
        actions[: len(prefix)] = prefix
        env = self.env
        with env.rehearsal():
            for i in range(steps):
                if i >= len(prefix):
                    actions[i] = self.expert.action(env.robot_state(), env.privileged(), tempo)
                env.advance(actions[i])
        return actions

    def action(self, tick: int) -> NDArray[np.float64]:
        """Action (14,) of the expert in the present tick.

        Raises:
            ConfigError: The environment stands at another tick.
        """
        self._check_tick(tick)
        return self.expert.action(self.env.robot_state(), self.env.privileged())

    def chunk(self, request: ChunkRequest, horizon: int, tempo: float = 1.0) -> ActionChunk:
        """The chunk that a request asks for.

        Raises:
            ConfigError: The environment stands at another tick.
        """
        observation = request.observation
        self._check_tick(observation.tick)
        begun = np.concatenate([request.assumed, request.prefix])
        actions = self.next_actions(begun, horizon + len(request.assumed), tempo)
        return ActionChunk(actions[len(request.assumed) :], observation.tick)

    def _check_tick(self, tick: int) -> None:
        if tick != self.env.tick:
            raise ConfigError(
                f"expert chunk: expected the environment at tick {tick}, it stands at "
                f"{self.env.tick}; ask at the capture tick"
            )


class OracleChunkModel:
    """The oracle behind the `xr0_sim.types.ChunkModel` port: a perfect planner with latency."""

    needs_images = False
    capabilities = frozenset({"prefix", "samples", "roll_forward", "correct"})

    def __init__(self, env: DualArmEnv, mode: Mode | None = None, horizon: int = HORIZON):
        self._oracle = ChunkOracle(env)
        self._mode = mode or SameMode()
        self._horizon = horizon

    @property
    def horizon(self) -> int:
        """Number of actions in every chunk."""
        return self._horizon

    def reset(self, episode_seed: int) -> None:
        """Nothing to forget: the expert has no memory."""

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]

    def infer_request(self, request: ChunkRequest) -> list[ActionChunk]:
        """See `xr0_sim.types.RequestChunkModel.infer_request`; samples differ in their tempo."""
        chunks = []
        for number in range(request.samples):
            seed = (*request.noise_seed, number) if number else request.noise_seed
            chunks.append(self._oracle.chunk(request, self._horizon, self._mode.tempo(seed)))
        return chunks

    def correct(self, request: CorrectionRequest) -> NDArray[np.float64]:
        """What the expert does now, whatever was planned: see `CorrectingChunkModel.correct`."""
        return self._oracle.action(request.observation.tick)

    def correction_flops(self, request: CorrectionRequest) -> None:
        """Unknown, as those of its chunks."""
