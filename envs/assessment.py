"""What a task says about one tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Assessment:
    """A task's judgement of one tick; success ends an episode, unless the task goes on.

    Attributes:
        terms: Reward terms in [0, 1] by name.
        success: Whether the task is solved.
        progress: Share of the task that is done, in [0, 1].
        phase: What the robot is doing, for triggers.
        details: More keys of the info.
        goes_on: Whether the episode continues after a success.
    """

    terms: Mapping[str, float]
    success: bool
    progress: float
    phase: str
    details: Mapping[str, Any]
    goes_on: bool = False
