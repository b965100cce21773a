"""Chunk models as Gymnasium policies: `predict` runs an executor per environment.

`stable_baselines3.common.evaluation.evaluate_policy(policy, env)` takes them as they are, single or
vectorised; latency and strategy work inside, in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.instruction import decode_instruction
from envs.robot.actions import to_unit
from envs.robot.proprioception import robot_state_from_vector
from xr0_sim.conventions import CAMERAS, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import BatchChunkModel, ChunkModel, ChunkRequest, Observation


@dataclass
class _Lane:
    """One environment: its executor, its tick and how many episodes it has begun."""

    executor: Executor
    tick: int = 0
    episodes: int = 0


class ChunkPolicy:
    """Runs a chunk model on pixel observations.

    Args:
        model: The chunk model; shared by all environments.
        strategy: When to infer and how to join chunks.
        latency: True inference latency.
        seed: Seed of latencies and sampling noise; episode e of environment i uses
            ``(seed, i, e)``, so a vectorised run repeats single ones.
        first_env: Number i of the first environment; a run of environment i alone needs it to
            repeat that environment of a vectorised run.
        batched: Infer the chunks of all environments that want one in one pass, which is faster.
            Sums round differently in a batch, so results equal those of single runs only to
            about 1e-5 a chunk.

    Attributes:
        strategy: The strategy in use.
    """

    def __init__(
        self,
        model: ChunkModel,
        strategy: Strategy | None = None,
        latency: LatencyModel | None = None,
        seed: int = 0,
        first_env: int = 0,
        batched: bool = False,
    ):
        if batched and not isinstance(model, BatchChunkModel):
            raise ConfigError(
                f"batched: expected a model with infer_batch, got {type(model).__name__}; leave "
                "it out, chunks are then inferred one by one"
            )
        self._model = model
        self._batched = batched
        self.strategy = strategy or Sync()
        self._latency = latency or Constant(0.0)
        self._seed = seed
        self._first_env = first_env
        self._lanes: list[_Lane] = []

    def reset(self, seed: int | None = None) -> None:
        """Forgets all running episodes; the next `predict` starts new ones.

        Args:
            seed: New seed; None keeps the old one and starts its sequence again.
        """
        self._seed = self._seed if seed is None else seed
        self._lanes = []

    def predict(
        self,
        observation: Mapping[str, NDArray],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], Any]:
        """Actions of the next tick.

        Args:
            observation: Pixel observation of one environment, or of B stacked ones; pictures may
                be channel-last or, as SB3 transposes them, channel-first.
            state: Ignored and returned; executors live in the policy.
            episode_start: (B,) True where an episode begins; None continues all.
            deterministic: Ignored: sampling noise is seeded either way.

        Returns:
            Gymnasium actions (14,) or (B, 14) float32, and `state`.
        """
        proprio = np.asarray(observation["proprio"])
        single = proprio.ndim == 1
        rows = {k: np.asarray(v)[None] if single else np.asarray(v) for k, v in observation.items()}
        count = len(rows["proprio"])
        fresh = np.zeros(count, bool) if episode_start is None else np.ravel(episode_start)
        if len(self._lanes) != count:
            self._lanes = [self._lane() for _ in range(count)]
            fresh = np.ones(count, bool)
        asked = [
            self._ask(i, {k: v[i] for k, v in rows.items()}, bool(fresh[i])) for i in range(count)
        ]
        self._answer([(i, request) for i, request in enumerate(asked) if request is not None])
        actions = [to_unit(lane.executor.act().action) for lane in self._lanes]
        return (actions[0] if single else np.stack(actions)), state

    def _lane(self) -> _Lane:
        return _Lane(Executor(self._model, self.strategy, self._latency))

    def _ask(self, index: int, row: Mapping[str, NDArray], fresh: bool) -> ChunkRequest | None:
        """What the executor of an environment wants to know in this tick, if anything."""
        lane = self._lanes[index]
        robot = robot_state_from_vector(row["proprio"])
        if fresh:
            entropy = [self._seed, self._first_env + index, lane.episodes]
            words = np.random.SeedSequence(entropy).generate_state(1)
            lane.executor.reset(int(words[0] >> 1), robot.command)
            lane.tick, lane.episodes = 0, lane.episodes + 1
        tick = lane.tick
        lane.tick += 1
        return lane.executor.ask(
            lambda: Observation(
                tick=tick,
                time_ns=tick_ns(tick),
                robot=robot,
                images={name: _channel_last(row, name) for name in CAMERAS},
                instruction=decode_instruction(row["instruction"]),
            )
        )

    def _answer(self, asked: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Chunks for the environments that asked for one, in one pass or one by one."""
        model, requests = self._model, [request for _, request in asked]
        if self._batched and requests and isinstance(model, BatchChunkModel):
            chunks = model.infer_batch(requests)
        else:
            chunks = [model.infer(r.observation, r.prefix, r.noise_seed) for r in requests]
        for (index, _), chunk in zip(asked, chunks, strict=True):
            self._lanes[index].executor.answer(chunk)


def _channel_last(row: Mapping[str, NDArray], name: str) -> NDArray[np.uint8]:
    key = f"image_{name}"
    if key not in row:
        raise ConfigError(
            f"chunk policy: expected the key {key!r}, got {sorted(row)}; make the environment "
            "with observation='pixels'"
        )
    image = row[key]
    return image if image.shape[-1] == 3 else np.ascontiguousarray(np.moveaxis(image, 0, -1))
