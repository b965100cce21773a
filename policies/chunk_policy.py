"""Chunk models as Gymnasium policies: `predict` runs an executor per environment.

`stable_baselines3.common.evaluation.evaluate_policy(policy, env)` takes them as they are, single or
vectorised; latency and strategy work inside, in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.control_rate import check_recorded_rate
from envs.instruction import decode_instruction
from envs.robot.actions import to_unit
from envs.robot.proprioception import robot_state_from_vector
from policies.watched_env import WatchedEnv
from xr0_sim.conventions import CAMERAS, CONTROL_HZ, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.episode import EpisodeLoop
from xr0_sim.runtime.episode_ports import EpisodeResult, Outcome, Subscriber
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.estimator import DelayEstimator, TrueDelay
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.random_streams import check_seed
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import (
    ActionChunk,
    BatchChunkModel,
    ChunkModel,
    ChunkRequest,
    InferenceMoment,
    Observation,
    capabilities_of,
    infer_chunks,
)


class _Lane:
    """One environment: its loop, its tick and how many episodes it has begun."""

    def __init__(self, loop: EpisodeLoop) -> None:
        self.loop = loop
        self.tick = 0
        self.episodes = 0
        self.watched = False
        self.was_reset = False
        self.idle = False
        self.options: dict[str, Any] | None = None


class ChunkPolicy:
    """Runs a chunk model on pixel observations.

    Every environment has a lane with the loop of `xr0_sim.runtime.run_episode`: tick log, events,
    delay estimator and figures are the same. What an action led to is seen only by the environment,
    so `watch` it to have rewards, events and outcomes in the records.

    An episode begins with the observation of tick 0. With Gymnasium's next-step autoreset the
    last frame of an episode comes with ``episode_start`` set; it is no first frame, its action is
    ignored by the environment, and nothing is inferred from it.

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
        estimator: What the controller believes about the delay.
        subscribers: Lane -> watchers of its episodes, e.g. `policies.episode_records`.
        control_hz: Rate of the environments and of the model's rows [Hz].

    Attributes:
        strategy: The strategy in use.
        results: Every finished episode, in the order of their ends.
    """

    def __init__(
        self,
        model: ChunkModel,
        strategy: Strategy | None = None,
        latency: LatencyModel | None = None,
        seed: int = 0,
        first_env: int = 0,
        batched: bool = False,
        estimator: DelayEstimator | None = None,
        subscribers: Callable[[int], Sequence[Subscriber]] | None = None,
        control_hz: int = CONTROL_HZ,
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
        self._estimator = estimator or TrueDelay()
        self._subscribers = subscribers
        self._control_hz = control_hz
        self._seed = check_seed(seed)
        self._first_env = first_env
        self._lanes: list[_Lane] = []
        self._watched: list[WatchedEnv] = []
        self.results: list[EpisodeResult] = []
        self.strategy.check(model.horizon, capabilities_of(model))

    def watch(self, env: gym.Env[Any, Any]) -> WatchedEnv:
        """Wraps an environment so that rewards, events and outcomes reach this policy.

        The i-th call wraps environment i: give ``wrappers=[policy.watch]`` to `gymnasium.make_vec`
        (mode ``sync``), or wrap in the function that `DummyVecEnv` calls. An environment in another
        process cannot be watched.

        Raises:
            ConfigError: It runs at another control rate.
        """
        hz = getattr(env.unwrapped, "control_hz", self._control_hz)
        check_recorded_rate(hz, self._control_hz, "chunk policy")
        watched = WatchedEnv(env, self, len(self._watched))
        self._watched.append(watched)
        return watched

    def reset(self, seed: int | None = None) -> None:
        """Forgets all running episodes; the next `predict` starts new ones.

        Args:
            seed: New seed; None keeps the old one and starts its sequence again.
        """
        self._seed = self._seed if seed is None else check_seed(seed)
        for lane in self._lanes:
            self._end(lane, "interrupted")
        was_reset = [lane.was_reset for lane in self._lanes]
        self._lanes = []
        for index, again in enumerate(was_reset):
            self._lane_of(index).was_reset = again

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
            episode_start: (B,) True where an episode begins; None continues all. Observations that
                carry their ``tick`` and watched environments know it themselves.
            deterministic: Ignored: sampling noise is seeded either way.

        Returns:
            Gymnasium actions (14,) or (B, 14) float32, and `state`.
        """
        proprio = np.asarray(observation["proprio"])
        single = proprio.ndim == 1
        rows = {k: np.asarray(v)[None] if single else np.asarray(v) for k, v in observation.items()}
        count = len(rows["proprio"])
        fresh = np.zeros(count, bool) if episode_start is None else np.ravel(episode_start)
        lanes = [self._lane_of(index) for index in range(count)]
        asked = [
            self._ask(i, {k: v[i] for k, v in rows.items()}, bool(fresh[i])) for i in range(count)
        ]
        self._answer([(i, request) for i, request in enumerate(asked) if request is not None])
        actions = []
        for i, lane in enumerate(lanes):
            if lane.idle:
                actions.append(to_unit(robot_state_from_vector(rows["proprio"][i]).command))
            else:
                actions.append(to_unit(lane.loop.select().action))
        return (actions[0] if single else np.stack(actions)), state

    def on_env_reset(self, lane: int, options: dict[str, Any] | None) -> None:
        """See `policies.watched_env.EpisodeListener`."""
        entry = self._lane_of(lane)
        self._end(entry, "interrupted")
        entry.watched, entry.was_reset, entry.options = True, True, options

    def on_env_step(
        self,
        lane: int,
        reward: SupportsFloat,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """See `policies.watched_env.EpisodeListener`."""
        entry = self._lane_of(lane)
        if entry.idle or not entry.loop.decided:
            return  # somebody else chose this action
        entry.loop.complete(float(reward), terminated, truncated, info)
        if entry.loop.over:
            self._end(entry, None)

    def inferences_of(self, lane: int) -> tuple[InferenceMoment, ...]:
        """See `policies.watched_env.EpisodeListener`."""
        entry = self._lane_of(lane)
        return entry.loop.executor.inferences() if entry.loop.decided and not entry.idle else ()

    def _lane_of(self, index: int) -> _Lane:
        while len(self._lanes) <= index:
            self._lanes.append(self._lane(len(self._lanes)))
        return self._lanes[index]

    def _lane(self, index: int) -> _Lane:
        watchers = () if self._subscribers is None else self._subscribers(index)
        executor = Executor(
            self._model,
            self.strategy,
            self._latency,
            self._estimator,
            control_hz=self._control_hz,
        )
        return _Lane(EpisodeLoop(executor, watchers))

    def _end(self, lane: _Lane, outcome: Outcome | None) -> None:
        if lane.loop.running:
            self.results.append(lane.loop.end(outcome))

    def _begins(self, lane: _Lane, tick: int | None, start: bool) -> bool:
        """Whether an observation is the first of an episode."""
        if lane.watched:
            return lane.was_reset
        if not lane.episodes:
            return True
        if tick is None:
            return start
        return tick == 0 or lane.idle

    def _ask(self, index: int, row: Mapping[str, NDArray], start: bool) -> ChunkRequest | None:
        """What the executor of an environment wants to know in this tick, if anything."""
        lane = self._lanes[index]
        robot = robot_state_from_vector(row["proprio"])
        tick_seen = int(np.ravel(row["tick"])[0]) if "tick" in row else None
        begins = self._begins(lane, tick_seen, start)
        if lane.loop.running and lane.loop.decided:
            # Nobody says what came of the last action: the log has the decision alone.
            lane.loop.complete(float("nan"), False, False, {})
        if begins:
            self._end(lane, "unknown")
            entropy = [self._seed, self._first_env + index, lane.episodes]
            words = np.random.SeedSequence(entropy).generate_state(1)
            lane.loop.begin(int(words[0] >> 1), robot, lane.options)
            lane.tick, lane.episodes = 0, lane.episodes + 1
            lane.was_reset = lane.idle = False
        elif not lane.loop.running or (start and tick_seen is not None):
            # The last frame of an episode, before a reset in the next step.
            self._end(lane, "unknown")
            lane.idle = True
            return None
        tick = lane.tick
        lane.tick += 1
        return lane.loop.request(
            robot,
            lambda: Observation(
                tick=tick,
                time_ns=tick_ns(tick, self._control_hz),
                robot=robot,
                images={name: _channel_last(row, name) for name in CAMERAS}
                if getattr(self._model, "needs_images", True)
                else {},
                instruction=decode_instruction(row["instruction"]),
            ),
        )

    def _answer(self, asked: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Chunks for the environments that asked for one, in one pass or one by one."""
        model, requests = self._model, [request for _, request in asked]
        answers: Sequence[ActionChunk | Sequence[ActionChunk]]
        plain = all(r.guide is None and r.samples == 1 and r.refresh is None for r in requests)
        if self._batched and plain and requests and isinstance(model, BatchChunkModel):
            answers = model.infer_batch(requests)
        else:
            answers = [infer_chunks(model, request) for request in requests]
        for (index, _), answer in zip(asked, answers, strict=True):
            self._lanes[index].loop.submit(answer)


def _channel_last(row: Mapping[str, NDArray], name: str) -> NDArray[np.uint8]:
    key = f"image_{name}"
    if key not in row:
        raise ConfigError(
            f"chunk policy: expected the key {key!r}, got {sorted(row)}; make the environment "
            "with observation='pixels'"
        )
    image = row[key]
    return image if image.shape[-1] == 3 else np.ascontiguousarray(np.moveaxis(image, 0, -1))
