"""DAgger samples: the policy drives, the oracle says what it should have done.

The policy runs under a random executor, latency and event, so that it visits the states its own
delays and mistakes lead to. At random ticks the oracle continues the actions that the policy has
already committed – and, for heads without prefix, also answers without any. Policy and expert take
turns: a policy left alone strays to where nobody can learn anything, and late phases of the task
would never be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.datagen.demonstrations import SampleRecorder, begin_episode
from experiments.datagen.driving import draw_executor

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.scripted.oracle import ChunkOracle
    from policies.supervision.table import Lesson
    from policies.xr0.chunk_model import XR0ChunkModel
    from xr0_sim.runtime.executor import Executor

STREAM = 0x64616767


@dataclass(frozen=True)
class RelabelConfig:
    """How the policy is driven and how often it is corrected.

    Attributes:
        stride: Shortest and longest gap between two samples [ticks].
        event_share: Share of episodes with one random scene event.
        horizons: Least and most rows that the policy executes of a chunk.
        longest_delay: Largest inference delay, drawn uniformly from 0 [ticks].
        longest_prefix: Longest committed prefix that is continued [ticks]; 0 leaves out the answers
            that continue one, from which only heads with a prefix learn.
        policy_turn: Shortest and longest turn of the policy [ticks].
        expert_turn: The same of the expert; 0 leaves its turn out.
        max_ticks: Tick limit of an episode.
    """

    stride: tuple[int, int] = (6, 13)
    event_share: float = 0.3
    horizons: tuple[int, int] = (5, 15)
    longest_delay: int = 6
    longest_prefix: int = 6
    policy_turn: tuple[int, int] = (20, 80)
    expert_turn: tuple[int, int] = (0, 50)
    max_ticks: int = 360


def record_corrections(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    lesson: Lesson,
    models: dict[str, XR0ChunkModel],
    config: RelabelConfig,
    seed: int,
    source: str,
) -> bool:
    """Plays one episode of the policy and records the oracle's answers; returns its success.

    Args:
        env: Environment with pictures.
        recorder: Where samples go.
        oracle: Oracle of `env`.
        lesson: What the task teaches.
        models: Head name -> model; one is drawn per episode, with an executor that fits it.
        config: Settings.
        seed: Episode seed.
        source: Kind of data, e.g. ``dagger1``.
    """
    rng = np.random.default_rng([seed, STREAM])
    begin_episode(env, lesson, config.event_share, rng, seed)
    executor = draw_executor(rng, models, config.horizons, config.longest_delay, env.control_hz)
    lead = bool(rng.random() < 0.5)
    due = env.tick + int(rng.integers(0, config.stride[1]))
    done, info = False, {"success": False}
    while not done and env.tick < config.max_ticks:
        turn = env.tick + int(rng.integers(*(config.expert_turn if lead else config.policy_turn)))
        executor.reset(int(rng.integers(2**31)), env.robot_state().command, first_tick=env.tick)
        while not done and env.tick < min(turn, config.max_ticks):
            if lead:
                action = oracle.expert.action(env.robot_state(), env.privileged())
                prefixes = [np.zeros((0, len(action)))]
            else:
                action = executor.tick(env.observe).action
                prefixes = _prefixes(rng, executor, action, config)
            if env.tick >= due:
                frame = recorder.frame()
                for prefix in prefixes:
                    recorder.store(frame, oracle.next_actions(prefix), len(prefix), seed, source)
                due = env.tick + int(rng.integers(config.stride[0], config.stride[1] + 1))
            _, done, _, info = env.advance(action)
        lead = not lead
    return done and bool(info["success"])


def _prefixes(
    rng: np.random.Generator,
    executor: Executor,
    action: NDArray[np.float64],
    config: RelabelConfig,
) -> list[NDArray[np.float64]]:
    """No prefix, and the policy's own next actions up to a random length."""
    nothing = np.zeros((0, len(action)))
    if config.longest_prefix == 0:
        return [nothing]
    length = int(rng.integers(1, config.longest_prefix + 1))
    later = np.asarray(executor.committed(length))[: length - 1]
    own = np.concatenate([action[None], later.reshape(-1, len(action))])
    return [nothing, own]
