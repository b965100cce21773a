"""The suites of LIBERO: how many tasks they have, and how long the public evaluation plays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.registry import look_up

CONTROL_HZ = 20
"""Control rate of the benchmark [Hz]."""


@dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
        tasks: Number of its tasks.
        steps: Steps of an episode in the public evaluation of XR-0, the idle ones not counted.
    """

    tasks: int
    steps: int

    @property
    def seconds(self) -> float:
        """Time limit of an episode [s]."""
        return self.steps / CONTROL_HZ


SUITES: dict[str, Suite] = {
    "libero_spatial": Suite(10, 220),
    "libero_object": Suite(10, 280),
    "libero_goal": Suite(10, 300),
    "libero_10": Suite(10, 520),
    "libero_90": Suite(90, 400),
}


def instruction_words(instruction: str) -> str:
    """The benchmark's instruction with a capital and a full stop, as XR-0 gets it in public."""
    text = instruction.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def check_task(env_kwargs: Mapping[str, Any]) -> None:
    """Rejects suites and tasks that do not exist.

    Raises:
        ConfigError: Unknown suite, or a task beyond its last one.
    """
    suite = look_up("suite", env_kwargs["suite"], SUITES)
    task = env_kwargs["task"]
    if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < suite.tasks:
        raise ConfigError(
            f"task of {env_kwargs['suite']}: expected 0 .. {suite.tasks - 1}, got {task!r}"
        )
