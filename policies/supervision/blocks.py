"""What a policy of the block task is taught."""

from __future__ import annotations

from policies.supervision.block_labels import (
    block_grounding,
    block_grounding_spec,
    block_sentence,
)
from policies.supervision.block_rearrangement import ScatterConfig, scatter
from policies.supervision.block_vqa import block_change, block_question
from policies.supervision.table import Lesson
from xr0_sim.model.auxiliary.vqa import QuestionWriter


def block_lesson() -> Lesson:
    """Lesson of the block task."""
    config = ScatterConfig()
    return Lesson(
        spec=block_grounding_spec,
        grounding=block_grounding,
        sentence=block_sentence,
        questions=QuestionWriter(block_question, block_change),
        scatter=lambda env, rng: scatter(env, config, rng),
        events=("shove", "shove_brick", "drop", "change_instruction", "reattach"),
    )
