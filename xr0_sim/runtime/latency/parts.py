"""Latency in parts: VLM, action expert and transport."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xr0_sim.fields import CheckedFields
from xr0_sim.runtime.latency.base import LatencyContext, check_seconds


@dataclass(frozen=True)
class Parts(CheckedFields):
    """A full inference takes all parts, a refresh of the action expert all but the VLM's.

    Other latency models do not tell the two apart: with them a refresh takes as long as a full
    inference.

    Attributes:
        vlm_s: Of the VLM [s].
        expert_s: Of the action expert's Euler loop [s].
        transport_s: Of pictures and chunks on their way [s].
    """

    vlm_s: float = 0.06
    expert_s: float = 0.02
    transport_s: float = 0.0

    def __post_init__(self) -> None:
        """Rejects negative and non-finite durations."""
        for name in ("vlm_s", "expert_s", "transport_s"):
            check_seconds(name, getattr(self, name))

    @property
    def label(self) -> str:
        """For example ``60 + 20 + 0 ms``."""
        parts = (self.vlm_s, self.expert_s, self.transport_s)
        return f"{' + '.join(f'{1e3 * part:g}' for part in parts)} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The sum of the parts that run [s]."""
        vlm_s = 0.0 if context.refresh else self.vlm_s
        return vlm_s + self.expert_s + self.transport_s
