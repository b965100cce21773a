"""Episodes for a correction head: the policy drives, the expert says what it would do instead.

A policy runs asynchronously behind a latency, undisturbed or with an event; every row is handed to
a teacher when it is due. The teacher writes down what a correction head would see there, with the
expert's action of that very tick, and for some spans leads the robot a share of the way to it: a
head that corrects visits states that no plan has led to, and they are learnt from too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.events import in_world
from policies.xr0.residual_action import ResidualActions
from xr0_sim.model.correction.residual import bounded
from xr0_sim.model.correction.views import small_views
from xr0_sim.runtime.correction import CorrectionRequest
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.strategies.corrected import Corrected
from xr0_sim.types import ActionChunk, Observation, RobotState, infer_chunks

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.scripted.oracle import ChunkOracle
    from policies.xr0.chunk_model import XR0ChunkModel

STREAM = 0x636F7272
"""Second word of the seed of everything an episode draws outside the scene."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class CorrectionEpisodeConfig:
    """How the policy is driven and how often the expert is asked.

    Attributes:
        execution_horizon: T_e of the policy.
        latency_s: Its inference latency [s].
        events: Presets, of which an episode draws one.
        event_share: Share of episodes with an event.
        stride: Shortest and longest gap between two samples [ticks].
        gains: Shares of the expert's correction that a span may execute.
        undisturbed_share: Share of spans that execute none.
        span: Shortest and longest span [ticks].
        max_ticks: Tick limit of an episode.
    """

    execution_horizon: int = 20
    latency_s: float = 0.08
    events: tuple[str, ...] = ("shove",)
    event_share: float = 0.5
    stride: tuple[int, int] = (2, 4)
    gains: tuple[float, ...] = (0.3, 0.6, 1.0)
    undisturbed_share: float = 0.5
    span: tuple[int, int] = (10, 60)
    max_ticks: int = 480


class Teacher:
    """The policy's chunk model with the expert as its correction head, which writes down samples.

    Args:
        model: The policy.
        oracle: Expert of the running environment.

    Attributes:
        gain: Share of the expert's correction that is executed.
        due: Whether the next correction is written down.
    """

    capabilities = frozenset({"prefix", "correct"})

    def __init__(self, model: XR0ChunkModel, oracle: ChunkOracle) -> None:
        self._model, self._oracle = model, oracle
        self._actions = ResidualActions()
        self._samples: list[Arrays] = []
        self._chunks: list[Arrays] = []
        self._chunk_tick = -1
        self.gain, self.due = 0.0, False

    @property
    def horizon(self) -> int:
        """Number of actions in every chunk."""
        return self._model.horizon

    def reset(self, episode_seed: int) -> None:
        """Tells the policy."""
        self._model.reset(episode_seed)

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """The policy's chunk."""
        return self._model.infer(observation, prefix, noise_seed)

    def correct(self, request: CorrectionRequest) -> NDArray[np.float64]:
        """The planned action, ``gain`` of the bounded way to the expert's."""
        if not (self.due or self.gain):
            return request.planned
        robot = request.observation.robot
        fresh = self._oracle.action(request.observation.tick)
        if self.due:
            self._note(request, fresh)
        residual = bounded(self._actions.residual(request.planned, fresh, robot))
        return self._actions.add(request.planned, self.gain * residual, robot)

    def correction_flops(self, request: CorrectionRequest) -> None:
        """Unknown."""

    def arrays(self) -> Arrays:
        """Everything written down, by name: ``chunk_...`` one row a chunk, else one a sample."""
        if not self._samples:
            return {}
        samples = {n: np.stack([s[n] for s in self._samples]) for n in self._samples[0]}
        chunks = {f"chunk_{n}": np.stack([c[n] for c in self._chunks]) for n in self._chunks[0]}
        return samples | chunks

    def _note(self, request: CorrectionRequest, fresh: NDArray[np.float64]) -> None:
        if request.captured.tick != self._chunk_tick:
            self._chunk_tick = request.captured.tick
            self._chunks.append(
                _robot(request.captured.robot)
                | _tools("rows", self._actions, request.rows)
                | {"views": small_views(request.captured.images, self._model.views)}
            )
        robot = request.observation.robot
        self._samples.append(
            _robot(robot)
            | _tools("expert", self._actions, fresh[None])
            | _tools("commanded", self._actions, np.asarray(robot.command)[None])
            | {
                "views": small_views(request.observation.images, self._model.views),
                "chunk": np.array(len(self._chunks) - 1, np.int32),
                "index": np.array(request.index, np.int32),
                "age_ticks": np.array(request.age_ticks, np.int32),
                "tick": np.array(request.observation.tick, np.int32),
                "gain": np.array(self.gain),
            }
        )


def _robot(robot: RobotState) -> Arrays:
    return {f.name: np.asarray(getattr(robot, f.name), np.float32) for f in fields(RobotState)}


def _tools(name: str, through: ResidualActions, actions: NDArray[np.float64]) -> Arrays:
    """Actions (T, 14) and the tool poses (T, 2, 7) they stand for."""
    targets = through.targets(actions)
    poses = np.concatenate([targets.tool_pos, targets.tool_quat], axis=-1)
    return {name: np.asarray(actions, np.float32), f"{name}_tools": poses.astype(np.float32)}


def play_correction_episode(
    env: DualArmEnv,
    oracle: ChunkOracle,
    model: XR0ChunkModel,
    config: CorrectionEpisodeConfig,
    seed: int,
) -> tuple[Arrays, bool]:
    """Plays one episode.

    Args:
        env: Environment with pictures.
        oracle: Oracle of ``env``.
        model: The policy.
        config: Settings.
        seed: Episode seed.

    Returns:
        Samples, see `Teacher.arrays`, and whether the task was solved.
    """
    rng = np.random.default_rng([seed, STREAM])
    names = in_world(config.events, env.world)
    events = [str(rng.choice(names))] if rng.random() < config.event_share else []
    env.reset_scene(seed, {"events": events})
    teacher = Teacher(model, oracle)
    executor = Executor(
        teacher,
        Corrected(config.execution_horizon),
        Constant(config.latency_s),
        control_hz=env.control_hz,
    )
    executor.reset(seed, env.robot_state().command)
    due, turn, done, info = 0, 0, False, {"success": False}
    looks = True

    def observe() -> Observation:
        return env.observe(images=looks)

    while not done and env.tick < config.max_ticks:
        if env.tick >= turn:
            quiet = rng.random() < config.undisturbed_share
            teacher.gain = 0.0 if quiet else float(rng.choice(config.gains))
            turn = env.tick + int(rng.integers(config.span[0], config.span[1] + 1))
        looks = True
        request = executor.request(observe)
        if request is not None:
            executor.submit(infer_chunks(teacher, request))
        # Pictures for a correction are drawn only where one is written down.
        teacher.due = looks = env.tick >= due
        if teacher.due:
            due = env.tick + int(rng.integers(config.stride[0], config.stride[1] + 1))
        record = executor.select()
        _, done, _, info = env.advance(record.action)
    return teacher.arrays(), done and bool(info["success"])
