"""Which task runs, and how hard it is made: options that all commands share.

``--env NAME:field=value,...`` sets the arguments of any task, a plug-in's included. The shipped
tasks' have options of their own besides; options of another task are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from envs.tasks import parse_task, task_spec
from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class TaskOptions:
    """A task and its arguments.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        n_bricks: Bricks in the assembly; default 2 (block_dismantling).
        layout: random, layered or mixed; default random (block_dismantling).
        level: half, quarter, flatten or full; default half (towel_folding).
        grid: Mass points along a side: 9, 13 or 17; default 13 (towel_folding).
        grasp: friction, or assist, which ties what is pinched to the hand; default friction
            (towel_folding).
        material: soft, layered, firm or creased, what the towel is made of; default that of world
            and level (towel_folding).
        continuous: Another towel follows each one, with two minutes for each (towel_folding).
        control_hz: Control rate, 5 .. 100 Hz; default 30 (block_dismantling, towel_folding).
        world: Physics, judges and views: 0.1, or 0.2, the default.
        servo: How the joints follow their targets, SERVO[:field=value,...]; default the world's.
        senses: Faults of cameras and encoders, SENSES[:field=value,...]; default clean.
        looks: What is drawn anew for every seed beside the physics; default none.
    """

    env: str = "block_dismantling"
    n_bricks: int | None = None
    layout: str | None = None
    level: str | None = None
    grid: int | None = None
    grasp: str | None = None
    material: str | None = None
    continuous: bool = False
    control_hz: int | None = None
    world: str | None = None
    servo: str | None = None
    senses: str | None = None
    looks: str | None = None

    @property
    def task(self) -> str:
        """Name of the task, without its arguments."""
        return parse_task(self.env)[0]

    def env_kwargs(self) -> dict[str, Any]:
        """Arguments of the environment that these options stand for, defaults filled in.

        Raises:
            ConfigError: An option of another task, an argument given twice, or a value that does
                not exist.
        """
        name, given = parse_task(self.env)
        spec = task_spec(name)
        flat = {f.name: getattr(self, f.name) for f in fields(TaskOptions) if f.name != "env"}
        asked = {n: value for n, value in flat.items() if value is not None and value is not False}
        for option in asked:
            if option not in spec.arguments:
                takes = ", ".join(
                    _flag(known) if known in flat else f"--env {name}:{known}=VALUE"
                    for known in spec.arguments
                )
                raise ConfigError(
                    f"{_flag(option)}: env {name!r} has no such option; it takes {takes or 'none'}"
                )
            if option in given:
                raise ConfigError(f"{_flag(option)}: given in --env {self.env} too; keep one")
        return spec.complete({**given, **asked})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
