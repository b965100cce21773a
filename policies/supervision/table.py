"""What a policy of a task is taught: labels, sentences, and the ways a demonstration goes astray.

The spec of a task names the function that returns its `Lesson`; it is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.tasks import task_spec
from policies.scripted.disturbance import DisturbanceConfig
from xr0_sim.errors import ConfigError
from xr0_sim.registry import import_attribute

if TYPE_CHECKING:
    from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec
    from xr0_sim.model.auxiliary.vqa import QuestionWriter

Labels = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Lesson:
    """One task's part of data and training.

    Attributes:
        spec: Layout of the grounding vector.
        grounding: Vector and mask of the present tick, from environment, expert and layout.
        sentence: Draws an instruction and the grounding classes it decides.
        questions: Writes questions about frames, see `xr0_sim.model.auxiliary.vqa`.
        scatter: Lays what the task is about somewhere else; False where that failed.
        events: Event presets that demonstrations and corrections draw from.
        disturbance: What keeps the arms off the expert's straight way.
    """

    spec: Callable[[], GroundingSpec]
    grounding: Callable[[Any, Any, GroundingSpec], Labels]
    sentence: Callable[[np.random.Generator], tuple[str, dict[str, int]]]
    questions: QuestionWriter
    scatter: Callable[[Any, np.random.Generator], bool]
    events: tuple[str, ...]
    disturbance: DisturbanceConfig = field(default_factory=DisturbanceConfig)


def lesson(task: str) -> Lesson:
    """Lesson of a task.

    Raises:
        ConfigError: Unknown task, or its spec names no supervision.
    """
    supervision = task_spec(task).supervision
    if not supervision:
        raise ConfigError(
            f"env {task!r}: expected supervision to collect data and to train, its TaskSpec names "
            "none; give it supervision='module:attribute'"
        )
    found = import_attribute(supervision) if isinstance(supervision, str) else supervision
    return found()
