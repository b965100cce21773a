"""A question about a frame and its one right answer: vision-language data of a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Question:
    """One question about a frame.

    Attributes:
        kind: What is asked for, e.g. ``point``; accuracies are told per kind.
        text: The question.
        answer: The one right answer.
    """

    kind: str
    text: str
    answer: str


Values = Mapping[str, NDArray[np.float64]]
"""What is known about a frame, see `xr0_sim.model.grounding_spec.GroundingSpec.read`."""
QuestionSource = Callable[[Values, str, np.random.Generator], Question | None]
"""Writes a question about a frame from its values and its instruction; None if nothing is known."""
