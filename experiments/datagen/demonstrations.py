"""Demonstration samples: the expert under injected failures and events, labelled by the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.events import in_world
from policies.scripted.disturbance import Disturbance
from policies.scripted.oracle import HORIZON
from xr0_sim.conventions import CAMERAS, ENV_ACTION_DIM

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from envs.snapshot import Snapshot
    from policies.scripted.oracle import ChunkOracle
    from policies.supervision.table import Lesson
    from xr0_sim.data.chunk_writer import ChunkWriter
    from xr0_sim.types import RobotState

STREAM = 0x64656D6F
"""Second word of the seed of everything a demonstration draws outside the scene."""


@dataclass(frozen=True)
class DemoConfig:
    """How demonstrations are recorded.

    Attributes:
        stride: Shortest and longest gap between two samples [ticks].
        event_share: Share of episodes with one random scene event.
        max_ticks: Tick limit of an episode.
    """

    stride: tuple[int, int] = (3, 8)
    event_share: float = 0.35
    max_ticks: int = 450


@dataclass(frozen=True)
class Frame:
    """What is seen and known at one tick, before its labels exist."""

    tick: int
    images: NDArray[np.uint8]
    robot: RobotState
    instruction: str
    grounding: NDArray[np.float32]
    mask: NDArray[np.bool_]


class SampleRecorder:
    """Turns ticks of an environment into labelled samples of a store."""

    def __init__(self, oracle: ChunkOracle, lesson: Lesson, writer: ChunkWriter):
        self._oracle = oracle
        self._lesson = lesson
        self._spec = lesson.spec()
        self._writer = writer
        self.count = 0

    def frame(self) -> Frame:
        """Captures the present tick."""
        env = self._oracle.env
        views = env.camera_images()
        grounding, mask = self._lesson.grounding(env, self._oracle.expert, self._spec)
        return Frame(
            env.tick,
            np.stack([views[name] for name in CAMERAS]),
            env.measured_state(),
            env.instruction,
            grounding,
            mask,
        )

    def store(
        self, frame: Frame, actions: NDArray[np.float64], committed: int, seed: int, source: str
    ) -> None:
        """Adds one sample.

        Args:
            frame: Captured tick.
            actions: Chunk (T, 14) that should follow; (0, 14) for a sight without one.
            committed: Leading rows of it that were given, not chosen.
            seed: Episode seed.
            source: Kind of data, e.g. ``demo``.
        """
        valid_steps = len(actions)
        if valid_steps == 0:
            actions = np.broadcast_to(frame.robot.command, (HORIZON, ENV_ACTION_DIM))
        pairs = actions.reshape(len(actions), 2, 7)
        position, quaternion = self._oracle.env.kinematics.forward(pairs[..., :6])
        self._writer.add(
            images=frame.images,
            robot=frame.robot,
            instruction=frame.instruction,
            actions=actions,
            action_tools=np.concatenate([position, quaternion], axis=-1),
            valid_steps=valid_steps,
            episode_seed=seed,
            tick=frame.tick,
            source=source,
            committed=committed,
            grounding=frame.grounding,
            grounding_mask=frame.mask,
        )
        self.count += 1


def begin_episode(
    env: DualArmEnv, lesson: Lesson, event_share: float, rng: np.random.Generator, seed: int
) -> None:
    """Resets to the scene of a seed, with one event of the lesson in a share of the episodes."""
    names = in_world(lesson.events, env.world)
    events = [str(rng.choice(names))] if rng.random() < event_share else []
    env.reset_scene(seed, {"events": events})


def record_demonstration(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    lesson: Lesson,
    config: DemoConfig,
    seed: int,
) -> bool:
    """Plays one episode of the disturbed expert and records it; returns whether it succeeded.

    Where nothing disturbs the expert for a whole chunk, what it did is what the oracle would say;
    elsewhere the oracle is asked at the snapshot of the captured tick.
    """
    rng = np.random.default_rng([seed, STREAM])
    begin_episode(env, lesson, config.event_share, rng, seed)
    disturbance = Disturbance(lesson.disturbance, env.kinematics, rng)
    due = int(rng.integers(0, config.stride[0] + 1))
    frames: list[tuple[Frame, Snapshot]] = []
    executed: list[NDArray[np.float64]] = []
    disturbed: list[bool] = []
    success = False
    for tick in range(config.max_ticks):
        if tick >= due:
            frames.append((recorder.frame(), env.snapshot()))
            due = tick + int(rng.integers(config.stride[0], config.stride[1] + 1))
        robot = env.robot_state()
        wanted = oracle.expert.action(robot, env.privileged())
        action = disturbance.apply(wanted, robot.command)
        _, terminated, _, info = env.advance(action)
        executed.append(action)
        disturbed.append(action is not wanted or bool(info["events"]))
        if terminated:
            success = bool(info["success"])
            break
    for frame, snapshot in frames:
        window = slice(frame.tick, frame.tick + HORIZON)
        if len(executed) >= window.stop and not any(disturbed[window]):
            actions = np.stack(executed[window])
        else:
            env.restore(snapshot)
            actions = oracle.next_actions(np.zeros((0, ENV_ACTION_DIM)))
        recorder.store(frame, actions, 0, seed, "demo")
    return success
