"""The tasks by name: what ships, and how a name becomes an environment.

Adding a task of one's own is `xr0_sim.registry.tasks.add` in a plug-in; see `envs.task_spec`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from envs.task_spec import TaskSpec
from xr0_sim.errors import ConfigError
from xr0_sim.grammar import split_fields
from xr0_sim.perturb.registry import split_events
from xr0_sim.registry import tasks

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

SHIPPED = {
    "block_dismantling": "two arms take a brick assembly apart and sort the bricks",
    "towel_folding": "two arms fold a towel",
}
"""Package of `envs` -> what is done there; its ``spec`` module holds the `TaskSpec`."""
OUTSIDE = {"libero": "a task of the LIBERO benchmark, in a Python environment of its own"}
"""The same for tasks of other projects, which are played in a process of their own."""

for _name, _what in {**SHIPPED, **OUTSIDE}.items():
    tasks.add(_name, f"envs.{_name}.spec:SPEC", _what)


def task_spec(name: str) -> TaskSpec:
    """Spec of a task.

    Raises:
        ConfigError: Unknown name, or something else than a `TaskSpec` is registered under it.
    """
    found = tasks[name]
    if not isinstance(found, TaskSpec):
        raise ConfigError(f"env {name!r}: expected an envs.task_spec.TaskSpec, got {found!r}")
    return found


def parse_task(text: str) -> tuple[str, dict[str, Any]]:
    """Name and given arguments of a task from ``name[:field=value,...]``.

    Raises:
        ConfigError: Unknown task or argument, or a value of another type.
    """
    name, _, values = text.strip().partition(":")
    what = f"env {name!r}"
    spec = task_spec(name)
    return name, spec.parsed(split_fields(values, what), what)


def spec_of(env: DualArmEnv) -> tuple[str, TaskSpec] | None:
    """Name and spec of the task an environment belongs to; None for one nobody registered."""
    for cls in type(env).__mro__:
        for name in tasks:
            spec = task_spec(name)
            if spec.env is cls or spec.env == f"{cls.__module__}:{cls.__qualname__}":
                return name, spec
    return None


def check_on_stage(task: str, what: str) -> None:
    """Rejects tasks of other projects where only ours can be used.

    Args:
        task: Its name.
        what: What is to be done with it.

    Raises:
        ConfigError: It is played in another process, at a rate of its own.
    """
    if not task_spec(task).stage:
        raise ConfigError(
            f"{what}: expected a task on our own stage, got env {task!r}, which is played in "
            f"another process at {task_spec(task).control_hz} Hz; rollout, ablate and film can"
        )


def register_events(task: str) -> None:
    """Makes the event presets of a task known."""
    for module in ("xr0_sim.perturb.signals.cameras", "envs.events", task_spec(task).events):
        if module:
            import_module(module)


def own_preset(task: str, text: str) -> str:
    """An event as text, with a common preset name replaced by the task's own."""
    end = min((at for mark in ":@" if (at := text.find(mark)) >= 0), default=len(text))
    name = text[:end]
    return task_spec(task).event_aliases.get(name, name) + text[end:]


def own_presets(task: str, text: str) -> list[str]:
    """`own_preset` of each of several, with commas."""
    return [own_preset(task, part) for part in split_events(text)]


def env_class(task: str) -> type[DualArmEnv]:
    """Class of a task's environment."""
    return task_spec(task).env_class


def make_env(
    task: str, /, *, image_size: int | None = None, filmed: bool = False, **env_kwargs: Any
) -> DualArmEnv:
    """Environment of a task; pictures are rendered only when somebody asks for them.

    Args:
        task: Its name.
        image_size: Side of the policy's pictures [px]; None for the world's.
        filmed: Whether somebody films.
        env_kwargs: Arguments of its class.
    """
    mode = "rgb_array" if filmed else None
    cls = env_class(task)
    return cls(observation="state", image_size=image_size, render_mode=mode, **env_kwargs)
