"""What a policy of the towel task is taught."""

from __future__ import annotations

from policies.scripted.disturbance import DisturbanceConfig
from policies.supervision.table import Lesson
from policies.supervision.towel_labels import (
    towel_grounding,
    towel_grounding_spec,
    towel_sentence,
)
from policies.supervision.towel_rearrangement import scatter_towel
from policies.supervision.towel_vqa import towel_change, towel_question
from xr0_sim.model.auxiliary.vqa import QuestionWriter


def towel_lesson() -> Lesson:
    """Lesson of the towel task."""
    return Lesson(
        spec=towel_grounding_spec,
        grounding=towel_grounding,
        sentence=towel_sentence,
        questions=QuestionWriter(towel_question, towel_change),
        scatter=scatter_towel,
        events=("towel_shove", "change_instruction", "corner_slip"),
        disturbance=DisturbanceConfig(rate_hz=0.25, offset_m=0.02, jaw_share=0.15),
    )
