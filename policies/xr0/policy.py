"""The XR-0 checkpoint as a Gymnasium policy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import from_unit, limit_step, tool_to_joint_action
from envs.robot.kinematics import DualArmKinematics
from envs.robot.proprioception import robot_state_from_vector
from policies.chunk_policy import ChunkPolicy
from policies.watched_env import WatchedEnv
from policies.xr0.checkpoints import find_checkpoint
from policies.xr0.execution import execution_horizon_for
from policies.xr0.fit import check_environment, check_prefix, foreign_world
from xr0_sim.errors import ConfigError
from xr0_sim.model.compute.devices import DEFAULT_DEVICE
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS
from xr0_sim.runtime.episode_ports import Subscriber
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.estimator import DelayEstimator
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.sync import Sync

LOOKS_AT_MODE = 5
"""Ticks in which the first environment is held to its action mode."""
SAME_COMMAND = 1e-3
"""Largest difference of two commands that are one [rad, jaw opening]."""


class XR0Policy(ChunkPolicy):
    """The shipped XR-0 checkpoint as a Gymnasium policy.

    What the weights were not trained on is refused: pictures of another size, another task, another
    action mode, a longer prefix. A `watch`ed environment is asked at once, another one is told by
    its observations. A head without prefix training under a prefix strategy gets one warning.

    Args:
        checkpoint: Shipped name or directory, also of a released checkpoint; None takes the first
            shipped one by name, ``block_dismantling``.
        head: Action expert; ``sync`` by default. Released checkpoints have one, which needs no
            name.
        strategy: Execution strategy; synchronous by default, with as many rows a chunk as suit
            the checkpoint (`policies.xr0.execution`).
        latency: True inference latency; none by default.
        seed: See `ChunkPolicy`.
        first_env: See `ChunkPolicy`.
        batched: See `ChunkPolicy`.
        temperature: Factor 0 .. 1 on the flow noise; None for the default of
            `policies.xr0.chunk_model`.
        precision: Number format of the network, one of
            `xr0_sim.model.compute.precision.PRECISIONS`.
        device: Where the network runs, see `xr0_sim.model.compute.devices`.
        vlm_weights: How the VLM's weights are kept, see `xr0_sim.model.compute.weight_only`.
        compile: Compile the Euler step; needs a C++ compiler, pays for large action experts.
        task: Task it is going to do; a checkpoint of another one is refused.
        robot_type: Robot type of a released checkpoint.
        views: Views of a released checkpoint, in prompt order, e.g. ``("ego=base",)``; see
            `policies.xr0.released_model.parse_views`.
        window: Λ window at inference; None for the one that the head was trained with.
        graph: Run in captured graphs, see `xr0_sim.model.graphed`; needs a graphics card.
        estimator: See `ChunkPolicy`.
        subscribers: See `ChunkPolicy`.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        head: str | None = None,
        strategy: Strategy | None = None,
        latency: LatencyModel | None = None,
        seed: int = 0,
        first_env: int = 0,
        batched: bool = False,
        temperature: float | None = None,
        precision: str = DEFAULT_PRECISION,
        device: str = DEFAULT_DEVICE,
        vlm_weights: str = STORED_WEIGHTS,
        compile: bool = False,
        task: str | None = None,
        robot_type: str | None = None,
        views: Sequence[str] | None = None,
        window: int | None = None,
        estimator: DelayEstimator | None = None,
        subscribers: Callable[[int], Sequence[Subscriber]] | None = None,
        graph: bool = False,
    ):
        from policies.xr0.loading import load_chunk_model

        path = find_checkpoint(checkpoint)
        model = load_chunk_model(
            path,
            head,
            temperature=temperature,
            precision=precision,
            device=device,
            vlm_weights=vlm_weights,
            compile=compile,
            task=task,
            robot_type=robot_type,
            views=views,
            window=window,
            graph=graph,
        )
        strategy = strategy or Sync(min(execution_horizon_for(path), model.horizon))
        told = check_prefix(strategy, model.prefix_max, model.head)
        if told:
            warnings.warn(told, stacklevel=2)
            model.said_so()
        super().__init__(model, strategy, latency, seed, first_env, batched, estimator, subscribers)
        self.chunk_model, self._checkpoint = model, path
        self._sent: tuple[NDArray[np.float64], NDArray[np.float32]] | None = None
        self._looks = LOOKS_AT_MODE

    def watch(self, env: gym.Env[Any, Any]) -> WatchedEnv:
        """See `ChunkPolicy.watch`; an environment that the weights do not fit is refused."""
        check_environment(env, self.chunk_model.task, self.chunk_model.picture_size)
        world = getattr(env.unwrapped, "world", None)
        told = foreign_world(self._checkpoint, world.name) if world is not None else None
        if told:
            warnings.warn(told, stacklevel=2)
        return super().watch(env)

    def predict(
        self,
        observation: Mapping[str, NDArray],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], Any]:
        """See `ChunkPolicy.predict`.

        Raises:
            ConfigError: The observations are none that the weights were trained on, or the
                environment takes the actions as tool poses.
        """
        if self._looks:
            self._look_at_mode(observation)
        actions, state = super().predict(observation, state, episode_start, deterministic)
        if self._looks:
            command = robot_state_from_vector(np.atleast_2d(observation["proprio"])[0]).command
            self._sent = command, np.atleast_2d(actions)[0]
        return actions, state

    def _look_at_mode(self, observation: Mapping[str, NDArray]) -> None:
        """Compares the command that the last action led to with what each mode makes of it."""
        if self._sent is None:
            return
        self._looks -= 1
        before, action = self._sent
        after = robot_state_from_vector(np.atleast_2d(observation["proprio"])[0]).command
        joint = limit_step(from_unit(action), before)
        if np.abs(after - joint).max() < SAME_COMMAND:
            return
        tool = tool_to_joint_action(from_unit(action, "tool"), before, DualArmKinematics())
        if np.abs(after - limit_step(tool, before)).max() < SAME_COMMAND:
            raise ConfigError(
                "XR0Policy: expected an environment with action_mode='joint', got one that takes "
                "actions as tool poses; make it with action_mode='joint'"
            )
