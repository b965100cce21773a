"""Counterfactual samples: the arms of one moment of the expert, bricks or towel elsewhere.

In demonstrations an arm is always on its way to the right brick, so a VLM can read the brick off
the arm and never look at it. Here the same arms stand beside bricks that lie anywhere, and only the
pictures say where. Two kinds:

* ``counterfactual``: with the chunk of the expert from there, as everywhere;
* ``sighting``: without a chunk, many times cheaper; grounding targets for the VLM alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policies.scripted.disturbance import Disturbance
from xr0_sim.conventions import ENV_ACTION_DIM

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from experiments.datagen.demonstrations import SampleRecorder
    from policies.scripted.oracle import ChunkOracle
    from policies.supervision.table import Lesson

STREAM = 0x636E7466
COUNTERFACTUAL, SIGHTING = "counterfactual", "sighting"


@dataclass(frozen=True)
class CounterfactualConfig:
    """Which moments are taken, and what is done with them.

    Attributes:
        stride: Shortest and longest gap between two moments [ticks].
        scenes: Scenes scattered at each moment.
        chunks: Whether the expert is asked what it would do.
        max_ticks: Tick limit of an episode.
    """

    stride: tuple[int, int] = (4, 10)
    scenes: int = 1
    chunks: bool = True
    max_ticks: int = 450


KINDS = {
    COUNTERFACTUAL: CounterfactualConfig(),
    SIGHTING: CounterfactualConfig(stride=(2, 6), scenes=2, chunks=False),
}
"""Settings by source name."""


def record_counterfactuals(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    lesson: Lesson,
    source: str,
    seed: int,
    config: CounterfactualConfig | None = None,
) -> bool:
    """Plays one episode of the expert and records it with the bricks elsewhere.

    Args:
        env: Environment with pictures.
        recorder: Where samples go.
        oracle: Oracle of `env`.
        lesson: What the task teaches.
        source: A key of `KINDS`.
        seed: Episode seed.
        config: Settings instead of those of the kind.

    Returns:
        Whether the expert finished the task in the real episode.
    """
    config = config or KINDS[source]
    rng = np.random.default_rng([seed, STREAM])
    env.reset_scene(seed)
    disturbance = Disturbance(lesson.disturbance, env.kinematics, rng)
    due = int(rng.integers(0, config.stride[1]))
    done, info = False, {"success": False}
    while not done and env.tick < config.max_ticks:
        if env.tick >= due:
            for _ in range(config.scenes):
                with env.rehearsal():
                    if lesson.scatter(env, rng):
                        _record(recorder, oracle, config.chunks, seed, source)
            due = env.tick + int(rng.integers(config.stride[0], config.stride[1] + 1))
        robot = env.robot_state()
        action = disturbance.apply(oracle.expert.action(robot, env.privileged()), robot.command)
        _, done, _, info = env.advance(action)
    return done and bool(info["success"])


def _record(
    recorder: SampleRecorder, oracle: ChunkOracle, chunk: bool, seed: int, source: str
) -> None:
    frame = recorder.frame()
    nothing = np.zeros((0, ENV_ACTION_DIM))
    recorder.store(frame, oracle.next_actions(nothing) if chunk else nothing, 0, seed, source)
