"""What came of each action, and where episodes begin: the environment side of a Gym policy."""

from __future__ import annotations

from typing import Any, Protocol, SupportsFloat

import gymnasium as gym

from xr0_sim.types import InferenceMoment, InferenceWatcher


class EpisodeListener(Protocol):
    """Who is told by a `WatchedEnv`; called in the process of the environment."""

    def on_env_reset(self, lane: int, options: dict[str, Any] | None) -> None:
        """The environment of a lane has begun a new episode."""
        ...

    def on_env_step(
        self,
        lane: int,
        reward: SupportsFloat,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """The environment of a lane has executed the lane's last action."""
        ...

    def inferences_of(self, lane: int) -> tuple[InferenceMoment, ...]:
        """Inferences under way for a lane, in the tick that is about to be executed."""
        ...


class WatchedEnv(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Passes everything on, and tells a policy what happened.

    Args:
        env: One environment, not a vectorised one; it must live in the policy's process.
        listener: The policy.
        lane: Number of the environment among the policy's.
    """

    def __init__(self, env: gym.Env[Any, Any], listener: EpisodeListener, lane: int) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, lane=lane)
        gym.Wrapper.__init__(self, env)
        self._listener, self._lane = listener, lane

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets, then tells."""
        found = self.env.reset(seed=seed, options=options)
        self._listener.on_env_reset(self._lane, options)
        return found

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Tells the environment which inferences are under way, steps, then tells the policy."""
        inner = self.env.unwrapped
        if isinstance(inner, InferenceWatcher):
            inner.note_inferences(self._listener.inferences_of(self._lane))
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._listener.on_env_step(self._lane, reward, terminated, truncated, info)
        return observation, reward, terminated, truncated, info
