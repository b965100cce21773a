"""What a policy of a task is taught: labels, sentences, and the ways a demonstration goes astray.

Adding a task is one entry; whatever is heavy is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from policies.scripted.disturbance import DisturbanceConfig
from xr0_sim.registry import look_up

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


def _blocks() -> Lesson:
    from policies.supervision.block_labels import (
        block_grounding,
        block_grounding_spec,
        block_sentence,
    )
    from policies.supervision.block_rearrangement import ScatterConfig, scatter
    from policies.supervision.block_vqa import block_change, block_question
    from xr0_sim.model.auxiliary.vqa import QuestionWriter

    config = ScatterConfig()
    return Lesson(
        spec=block_grounding_spec,
        grounding=block_grounding,
        sentence=block_sentence,
        questions=QuestionWriter(block_question, block_change),
        scatter=lambda env, rng: scatter(env, config, rng),
        events=("shove", "shove_brick", "drop", "change_instruction", "reattach"),
    )


def _towel() -> Lesson:
    from policies.supervision.towel_labels import (
        towel_grounding,
        towel_grounding_spec,
        towel_sentence,
    )
    from policies.supervision.towel_rearrangement import scatter_towel
    from policies.supervision.towel_vqa import towel_change, towel_question
    from xr0_sim.model.auxiliary.vqa import QuestionWriter

    return Lesson(
        spec=towel_grounding_spec,
        grounding=towel_grounding,
        sentence=towel_sentence,
        questions=QuestionWriter(towel_question, towel_change),
        scatter=scatter_towel,
        events=("towel_shove", "change_instruction", "corner_slip"),
        disturbance=DisturbanceConfig(rate_hz=0.25, offset_m=0.02, jaw_share=0.15),
    )


LESSONS: dict[str, Callable[[], Lesson]] = {
    "block_dismantling": _blocks,
    "towel_folding": _towel,
}
"""By task."""


def lesson(task: str) -> Lesson:
    """Lesson of a task."""
    return look_up("env", task, LESSONS)()
