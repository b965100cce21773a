"""The tasks in Gymnasium's registry, each with the time limit that its own spec states."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec, register, registry
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import TimeLimit

from envs.tasks import SHIPPED, task_spec
from xr0_sim.errors import ConfigError

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


def register_gym_id(task: str) -> str:
    """Registers a task under the ``gym_id`` of its spec, with its time limit.

    A task of one's own calls it behind `tasks.add`; `gymnasium.make` imports its file when that is
    named before the id, ``gymnasium.make("my_task:own/MyTask-v0")``.

    Args:
        task: Its name.

    Returns:
        The id.

    Raises:
        ConfigError: Unknown task, one without an id, or an id that is none or that another
            environment has.
    """
    spec = task_spec(task)
    if not spec.gym_id:
        raise ConfigError(
            f"env {task!r}: expected a gym_id in its TaskSpec, got none; give one, such as "
            "gym_id='own/MyTask-v0'"
        )
    limit = WrapperSpec("TaskTimeLimit", f"{__name__}:TaskTimeLimit", {"task": task})
    known = registry.get(spec.gym_id)
    if known is not None and (known.entry_point, known.additional_wrappers) != (spec.env, (limit,)):
        raise ConfigError(
            f"env {task!r}: expected a gym_id of its own, got {spec.gym_id!r}, which another "
            "environment has; choose another one"
        )
    if known is None:
        entry: Any = spec.env  # a class makes an environment, as a function does
        try:
            register(id=spec.gym_id, entry_point=entry, additional_wrappers=(limit,))
        except gymnasium.error.Error as error:
            raise ConfigError(
                f"env {task!r}: expected a gym_id such as 'own/MyTask-v0', got {spec.gym_id!r}"
            ) from error
    return spec.gym_id
