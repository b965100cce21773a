"""What LIBERO says about itself."""

from __future__ import annotations

from envs.libero.place import missing
from envs.libero.suites import CONTROL_HZ, SUITES, check_task
from envs.task_spec import EnvKwargs, TaskSpec


def _seconds(env_kwargs: EnvKwargs) -> float:
    return SUITES[env_kwargs["suite"]].seconds


def _words(env_kwargs: EnvKwargs) -> str:
    return f"{env_kwargs['suite']} task {env_kwargs['task']}"


SPEC = TaskSpec(
    env="envs.libero.env:LiberoEnv",
    env_kwargs={"suite": "libero_goal", "task": 0},
    check=check_task,
    words=_words,
    time_limit_s=_seconds,
    pieces="tasks",
    events="envs.libero.events",
    event_aliases={"shove": "object_shift"},
    execution_horizon=10,  # the public evaluation executes 10 rows of 10
    stage={},
    control_hz=CONTROL_HZ,
    missing=missing,
)
