"""Corrections: a planned action changed within its tick, by the newest observation.

A strategy that corrects hands every planned action to its model before it is executed. The answer
is used in the same tick, so a correction has no delay: it is for small networks that run between a
capture and the command of that very tick. What it costs is counted beside the inferences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.types import ChunkModel, Observation

CORRECT = "correct"
"""Name of the capability, see `xr0_sim.types.CAPABILITIES`."""


@dataclass(frozen=True)
class CorrectionRequest:
    """One planned action and what is known when it is due.

    Attributes:
        observation: Of the tick in which the action is due.
        captured: What the inference saw that planned it.
        planned: (14,) the action, absolute targets.
        rows: (T, 14) the whole chunk it is taken from, read-only.
        index: Its row there, the position in the chunk.
        age_ticks: Ticks between the capture and now; differs from ``index`` where a chunk that was
            captured at a standstill starts on arrival.
    """

    observation: Observation
    captured: Observation
    planned: NDArray[np.float64]
    rows: NDArray[np.float64]
    index: int
    age_ticks: int


@runtime_checkable
class CorrectingChunkModel(ChunkModel, Protocol):
    """A chunk model with the capability ``correct``."""

    def correct(self, request: CorrectionRequest) -> NDArray[np.float64]:
        """The action (14,) to execute in place of the planned one, absolute targets.

        A pure function of its argument and of what `reset` received, as inferences are.
        """
        ...

    def correction_flops(self, request: CorrectionRequest) -> float | None:
        """Floating-point operations of it, a multiply-add counts two; None if unknown."""
        ...


def check_time(correction_s: float, control_hz: int) -> None:
    """Rejects a correction that takes longer than the tick it has to fit into.

    Args:
        correction_s: What it takes [s].
        control_hz: Control rate [Hz].
    """
    if correction_s * control_hz > 1.0:
        raise ConfigError(
            f"correction: expected a time of at most 1/{control_hz} s, the tick it has to fit "
            f"into, got {correction_s:g} s; give a smaller head_s"
        )


def corrected_action(
    model: ChunkModel, request: CorrectionRequest
) -> tuple[NDArray[np.float64], float]:
    """A model's correction, and the operations it took; NaN where it does not tell.

    Raises:
        ConfigError: The model cannot correct, or answers with something that is no action.
    """
    if not isinstance(model, CorrectingChunkModel):
        raise ConfigError(
            f"{type(model).__name__}: expected a chunk model with correct() and "
            "correction_flops(), got one without; use another strategy or model"
        )
    action = np.asarray(model.correct(request), dtype=np.float64)
    if action.shape != (ENV_ACTION_DIM,) or not np.isfinite(action).all():
        raise ConfigError(
            f"{type(model).__name__}.correct: expected a finite action ({ENV_ACTION_DIM},), got "
            f"{action!r}"
        )
    told = model.correction_flops(request)
    if told is not None and not 0.0 <= told < math.inf:
        raise ConfigError(
            f"{type(model).__name__}.correction_flops: expected a count >= 0 or None, got {told}"
        )
    return action, math.nan if told is None else float(told)
