"""Demonstration samples: the expert under injected failures and events, labelled by the oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from policies.scripted.disturbance import Disturbance, DisturbanceConfig
from xr0_sim.conventions import CAMERAS

if TYPE_CHECKING:
    from envs.block_dismantling.env import BlockDismantlingEnv
    from policies.scripted.oracle import ChunkOracle
    from xr0_sim.data.chunk_writer import ChunkWriter
    from xr0_sim.model.grounding import GroundingSpec

DEMO_EVENTS = ("shove", "shove_brick", "drop", "change_instruction", "reattach")
STREAM = 0x64656D6F
"""Second word of the seed of everything a demonstration draws outside the scene."""


@dataclass(frozen=True)
class DemoConfig:
    """How demonstrations are recorded.

    Attributes:
        stride: Shortest and longest gap between two samples [ticks].
        event_share: Share of episodes with one random scene event.
        disturbance: Injected failures.
        max_ticks: Tick limit of an episode.
    """

    stride: tuple[int, int] = (3, 8)
    event_share: float = 0.35
    disturbance: DisturbanceConfig = field(default_factory=DisturbanceConfig)
    max_ticks: int = 450


class SampleRecorder:
    """Turns the present tick of an environment into labelled samples of a store."""

    def __init__(self, oracle: ChunkOracle, spec: GroundingSpec, writer: ChunkWriter):
        self._oracle = oracle
        self._spec = spec
        self._writer = writer
        self.count = 0

    def record(self, seed: int, source: str, prefixes: list[NDArray[np.float64]]) -> None:
        """Stores one sample per committed prefix (d, 14); all share pictures and state.

        Args:
            seed: Episode seed.
            source: Kind of data, e.g. ``demo``.
            prefixes: Committed actions the oracle continues; an empty one asks for its own chunk.
        """
        from policies.scripted.block_labels import block_grounding

        env = self._oracle.env
        views = env.camera_images()
        images = np.stack([views[name] for name in CAMERAS])
        robot = env.robot_state()
        grounding, mask = block_grounding(env, self._oracle.expert, self._spec)
        for prefix in prefixes:
            actions = self._oracle.next_actions(prefix)
            pairs = actions.reshape(len(actions), 2, 7)
            position, quaternion = env.kinematics.forward(pairs[..., :6])
            self._writer.add(
                images=images,
                robot=robot,
                instruction=env.instruction,
                actions=actions,
                action_tools=np.concatenate([position, quaternion], axis=-1),
                valid_steps=len(actions),
                episode_seed=seed,
                tick=env.tick,
                source=source,
                committed=len(prefix),
                grounding=grounding,
                grounding_mask=mask,
            )
            self.count += 1


def record_demonstration(
    env: BlockDismantlingEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    config: DemoConfig,
    seed: int,
) -> bool:
    """Plays one episode of the disturbed expert and records it; returns whether it succeeded."""
    rng = np.random.default_rng([seed, STREAM])
    events = [str(rng.choice(DEMO_EVENTS))] if rng.random() < config.event_share else []
    env.reset_scene(seed, {"events": events})
    disturbance = Disturbance(config.disturbance, env.kinematics, rng)
    due = int(rng.integers(0, config.stride[0] + 1))
    nothing = np.zeros((0, 14))
    for tick in range(config.max_ticks):
        if tick >= due:
            recorder.record(seed, "demo", [nothing])
            due = tick + int(rng.integers(config.stride[0], config.stride[1] + 1))
        robot = env.robot_state()
        action = oracle.expert.action(robot, env.privileged())
        _, terminated, _, info = env.advance(disturbance.apply(action, robot.command))
        if terminated:
            return bool(info["success"])
    return False
