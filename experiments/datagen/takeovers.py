"""Takeovers: the policy drives to where it gets by itself, then the expert goes on from there.

What a policy leaves behind – bricks knocked over, hands that hover, a pair carried into a tray – no
demonstration shows. The policy drives for a while under a random executor, latency and event; then
the expert takes over until the task is done or its turn ends. What the expert did labels what was
seen, so that no label is rehearsed as those of corrections are (`experiments.datagen.dagger`). The
states are the policy's own at the takeover only, so there are several turns in an episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.datagen.demonstrations import begin_episode
from experiments.datagen.driving import draw_executor
from policies.scripted.oracle import HORIZON

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from experiments.datagen.demonstrations import Frame, SampleRecorder
    from policies.scripted.oracle import ChunkOracle
    from policies.supervision.table import Lesson
    from policies.xr0.chunk_model import XR0ChunkModel
    from xr0_sim.runtime.executor import Executor

STREAM = 0x74616B65
TAKEOVER = "takeover"
"""Names of this kind of data begin so."""


@dataclass(frozen=True)
class TakeoverConfig:
    """How the policy is driven, and what is kept of the expert. All times in ticks; chosen.

    Attributes:
        event_share: Share of episodes with one random scene event.
        horizons: Least and most rows that the policy executes of a chunk.
        longest_delay: Largest inference delay, drawn uniformly from 0.
        policy_turn: Shortest and longest turn of the policy.
        expert_turn: How long samples are taken after a takeover.
        stride: Shortest and longest gap between two samples.
        longest_prefix: Most rows of the policy that a sample with a committed prefix has left.
        max_ticks: Tick limit of an episode.
    """

    event_share: float = 0.7
    horizons: tuple[int, int] = (8, 20)
    longest_delay: int = 6
    policy_turn: tuple[int, int] = (25, 240)
    expert_turn: int = 80
    stride: tuple[int, int] = (3, 6)
    longest_prefix: int = 10
    max_ticks: int = 750


def record_takeovers(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    lesson: Lesson,
    models: dict[str, XR0ChunkModel],
    config: TakeoverConfig,
    seed: int,
    source: str,
) -> bool:
    """Plays one episode in which policy and expert take turns; returns its success.

    Args:
        env: Environment with pictures.
        recorder: Where samples go.
        oracle: Oracle of `env`.
        lesson: What the task teaches.
        models: Head name -> model; one is drawn per episode, with an executor that fits it.
        config: Settings.
        seed: Episode seed.
        source: Kind of data, e.g. ``takeover``.
    """
    rng = np.random.default_rng([seed, STREAM])
    begin_episode(env, lesson, config.event_share, rng, seed)
    executor = draw_executor(rng, models, config.horizons, config.longest_delay, env.control_hz)
    done = success = False
    while not done and env.tick < config.max_ticks:
        turn = _Turn(env, recorder, oracle)
        committed = int(rng.integers(1, config.longest_prefix + 1))
        length = int(rng.integers(config.policy_turn[0], config.policy_turn[1] + 1))
        executor.reset(int(rng.integers(2**31)), env.robot_state().command, first_tick=env.tick)
        turn.policy(executor, length, committed)
        takeover = env.tick
        if not turn.done:
            turn.expert(_due(rng, takeover, config), takeover + config.expert_turn)
        for frame, actions in turn.labelled():
            recorder.store(frame, actions, max(0, takeover - frame.tick), seed, source)
        done, success = turn.done, turn.success
    return success


def _due(rng: np.random.Generator, first: int, config: TakeoverConfig) -> set[int]:
    due, tick = set(), first
    while tick <= first + config.expert_turn:
        due.add(tick)
        tick += int(rng.integers(config.stride[0], config.stride[1] + 1))
    return due


class _Turn:
    """The policy and then the expert, once each, from the present tick."""

    def __init__(self, env: DualArmEnv, recorder: SampleRecorder, oracle: ChunkOracle):
        self._env, self._recorder, self._oracle = env, recorder, oracle
        self._start = env.tick
        self._actions: list[NDArray[np.float64]] = []
        self._changed: list[bool] = []
        self._frames: list[Frame] = []
        self.done = self.success = False

    def policy(self, executor: Executor, length: int, committed: int) -> None:
        """Lets the policy drive; the sight `committed` ticks before its end is kept."""
        for left in range(length, 0, -1):
            if left == committed:
                self._frames.append(self._recorder.frame())
            self._advance(executor.tick(self._env.observe).action)
            if self.done:
                return

    def expert(self, due: set[int], last: int) -> None:
        """Lets the expert drive until `last` or the end, and a chunk further for the labels."""
        end = last
        while self._env.tick < end + HORIZON:
            if self._env.tick in due and self._env.tick <= end:
                self._frames.append(self._recorder.frame())
            robot, seen = self._env.robot_state(), self._env.privileged()
            self._advance(self._oracle.expert.action(robot, seen))
            if self.done:
                end = min(end, self._env.tick)

    def labelled(self) -> list[tuple[Frame, NDArray[np.float64]]]:
        """Sights with the actions that followed, where nothing unforeseen happened in between."""
        found = []
        for frame in self._frames:
            window = slice(frame.tick - self._start, frame.tick - self._start + HORIZON)
            if window.stop <= len(self._actions) and not any(self._changed[window]):
                found.append((frame, np.stack(self._actions[window])))
        return found

    def _advance(self, action: NDArray[np.float64]) -> None:
        _, terminated, _, info = self._env.advance(action)
        self._actions.append(action)
        self._changed.append(bool(info["events"]))
        if terminated and not self.done:
            self.done, self.success = True, bool(info["success"])
