"""Questions about frames, each with its one right answer: vision-language data of a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Question:
    """One question about a frame, or about a frame and an earlier one.

    Attributes:
        kind: What is asked for, e.g. ``point``; accuracies are told per kind.
        text: The question.
        answer: The one right answer.
    """

    kind: str
    text: str
    answer: str


Values = Mapping[str, NDArray[np.float64]]
"""What is known about a frame, see `xr0_sim.model.auxiliary.grounding_spec.GroundingSpec.read`."""
FrameSource = Callable[[Values, str, np.random.Generator], Question | None]
"""Writes a question about a frame from its values and its instruction; None if nothing is known."""
ChangeSource = Callable[[Values, Values, np.random.Generator], Question | None]
"""Writes a question about what happened from the values before and now; None if unclear."""


@dataclass(frozen=True)
class QuestionWriter:
    """What a task can ask about its pictures.

    Attributes:
        frame: Writes questions about one frame.
        change: Writes questions about what happened between two; None asks no such.
    """

    frame: FrameSource
    change: ChangeSource | None = None
