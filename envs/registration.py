"""The tasks in Gymnasium's registry, each with the time limit that its own spec states."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec, register
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import TimeLimit

from envs.tasks import SHIPPED, task_spec

ENV_IDS = {task: task_spec(task).gym_id for task in SHIPPED}
"""Short task name -> registered id."""


class TaskTimeLimit(gymnasium.Wrapper, RecordConstructorArgs):
    """Truncates an episode after the time limit of its task's spec, as the command line does.

    ``gymnasium.make(..., max_episode_steps=N)`` replaces the limit by N steps.

    Args:
        env: Environment of the task.
        task: Name of the task.
    """

    def __init__(self, env: gymnasium.Env, task: str) -> None:
        RecordConstructorArgs.__init__(self, task=task)
        gymnasium.Wrapper.__init__(self, env)
        self.limit_ticks: int | None = None
        if not _has_limit(env):
            spec, given = task_spec(task), env.unwrapped.spec
            chosen = given.kwargs if given else {}
            own = {name: value for name, value in chosen.items() if name in spec.env_kwargs}
            full = spec.complete(own)
            self.limit_ticks = round(spec.seconds(full) * spec.rate(full))
        self._ticks = 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Starts the clock."""
        self._ticks = 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One tick; truncated when the time is over."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._ticks += 1
        over = self.limit_ticks is not None and self._ticks >= self.limit_ticks
        return observation, reward, terminated, truncated or over, info

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # a property of wrappers, too
        """The environment's spec, with the limit in force as ``max_episode_steps``."""
        found = super().spec
        if found is not None and found.max_episode_steps is None:
            found = copy.copy(found)
            found.max_episode_steps = self.limit_ticks
        return found


def _has_limit(env: gymnasium.Env) -> bool:
    """Whether a step limit was asked for already."""
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            return True
        env = env.env
    return False


def register_gym_ids() -> None:
    """Registers every shipped task under its id."""
    for task, gym_id in ENV_IDS.items():
        limit = WrapperSpec("TaskTimeLimit", f"{__name__}:TaskTimeLimit", {"task": task})
        register(id=gym_id, entry_point=str(task_spec(task).env), additional_wrappers=(limit,))
