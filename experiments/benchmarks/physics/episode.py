"""One episode of the scripted expert with everything watched, substep by substep."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from envs.tasks import make_env
from experiments.benchmarks.physics.contacts import ContactLog
from experiments.benchmarks.physics.energy import EnergyLog
from experiments.benchmarks.physics.joints import JointLog
from experiments.benchmarks.physics.solver import NEWTON, SolverLog, disagreement
from experiments.runner.pool import check_stop
from xr0_sim.errors import SimulationError

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

SOLVER_EVERY = 45
"""Control ticks between two comparisons of dense and sparse algebra."""


@dataclass(frozen=True)
class WatchedEpisode:
    """Which episode is played.

    Attributes:
        seed: Its seed.
        env: Task.
        env_kwargs: Arguments of the environment.
        max_ticks: Time limit [control ticks].
    """

    seed: int
    env: str
    env_kwargs: tuple[tuple[str, Any], ...]
    max_ticks: int


class _TaskLog(Protocol):
    """What a task adds."""

    def substep(self) -> None:
        """Takes in the last physics step."""

    def tick(self) -> None:
        """Takes in the control tick that has ended."""

    def figures(self) -> dict[str, Any]:
        """Its figures of the episode; a list holds samples."""


class _NoTaskLog:
    """A task without figures of its own."""

    def substep(self) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def figures(self) -> dict[str, Any]:
        """None."""
        return {}


def _task_log(env: DualArmEnv) -> _TaskLog:
    from envs.block_dismantling.env import BlockDismantlingEnv
    from envs.towel_folding.env import TowelFoldingEnv
    from experiments.benchmarks.physics.blocks import BlockLog
    from experiments.benchmarks.physics.towel import TowelLog

    if isinstance(env, BlockDismantlingEnv):
        return BlockLog(env)
    return TowelLog(env) if isinstance(env, TowelFoldingEnv) else _NoTaskLog()


class PhysicsLog:
    """Watches an episode from its reset on.

    Args:
        env: The environment after its reset.
    """

    def __init__(self, env: DualArmEnv):
        self._env = env
        model = env.model
        self._logs = (ContactLog(model), JointLog(model), EnergyLog(model), SolverLog(model))
        self._task = _task_log(env)
        self._physics_ns = self._steps = 0
        self._disagreement = 0.0
        self._left_ns = 0
        env.watch_physics(self._substep)

    def _substep(self) -> None:
        now, data = time.thread_time_ns(), self._env.data
        if self._left_ns:
            self._physics_ns += now - self._left_ns
            self._steps += 1
        for log in self._logs:
            log.read(data)
        self._task.substep()
        self._left_ns = time.thread_time_ns()

    def tick(self) -> None:
        """Takes in the control tick that has ended."""
        env = self._env
        self._left_ns = 0  # what lies between two ticks is no physics
        self._task.tick()
        if env.tick % SOLVER_EVERY == 0:
            found = disagreement(env.model, env.data, NEWTON)
            self._disagreement = max(self._disagreement, found)

    def figures(self) -> dict[str, Any]:
        """Everything that was seen; a list holds samples."""
        found: dict[str, Any] = {}
        for log in self._logs:
            found |= log.figures()
        found |= self._task.figures()
        found["dense_sparse"] = self._disagreement
        seconds = self._steps * self._env.timestep_s
        found["physics_real_time_factor"] = 1e9 * seconds / max(1, self._physics_ns)
        return found


def watch_episode(task: WatchedEpisode) -> dict[str, Any]:
    """Plays one episode of the expert; returns its figures, or why the physics broke."""
    from policies.scripted.experts import make_expert

    env = make_env(task.env, **dict(task.env_kwargs))
    expert = make_expert(env)
    env.reset_scene(task.seed)
    log = PhysicsLog(env)
    info: dict[str, Any] = {}
    try:
        for _ in range(task.max_ticks):
            check_stop()
            action = expert.action(env.robot_state(), env.privileged())
            _, terminated, truncated, info = env.advance(action)
            log.tick()
            if terminated or truncated:
                break
    except SimulationError as error:
        return {"seed": task.seed, "success": False, "broke": 1.0, "invalid": str(error)}
    row = {"seed": task.seed, "success": bool(info["success"]), "broke": 0.0}
    row["stopped"] = float(bool(info["protective_stop"]))
    return {**row, "duration_s": env.tick / env.control_hz, **log.figures()}
