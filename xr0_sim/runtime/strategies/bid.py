"""Draw several chunks and take the one that goes on with the plan: bidirectional decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.strategies.base import DEFAULT_EXECUTION_HORIZON, TimeAligned
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import ActionChunk, ChunkRequest, Observation


@dataclass(frozen=True)
class Bid(TimeAligned):
    """Of several samples the one nearest to what was going to be done (arXiv 2408.17355).

    Backward coherence: the sum over the ticks that the running plan covers of ``decay^i`` times the
    distance of sample and plan, i from the capture on. Time-aligned otherwise, see `NaiveAsync`.
    The paper's forward contrast, which asks a weaker policy beside the strong one, is not part of
    it: no checkpoint here comes with a weaker self.

    Attributes:
        execution_horizon: T_e.
        samples: Chunks drawn by an inference; the noise temperature must not be 0.
        decay: Weight of a tick against the one before; chosen.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"samples"})

    execution_horizon: int = DEFAULT_EXECUTION_HORIZON
    samples: int = 16
    decay: float = 0.9

    def __post_init__(self) -> None:
        """Rejects fewer than two samples and decays outside (0, 1]."""
        if self.samples < 2 or not 0 < self.decay <= 1:
            raise ConfigError(
                f"bid: expected samples >= 2 and decay in (0, 1], got {self.samples} and "
                f"{self.decay}"
            )

    @property
    def label(self) -> str:
        """For example ``bid T_e=10 of 16``."""
        return f"bid T_e={self.execution_horizon} of {self.samples}"

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """Several samples."""
        return ChunkRequest(observation, samples=self.samples)

    def choose(self, timeline: Timeline, chunks: Sequence[ActionChunk]) -> ActionChunk:
        """The most coherent sample; the first where there is no plan."""
        plan = timeline.committed(chunks[0].first_tick, len(chunks[0].actions))
        if not len(plan):
            return chunks[0]
        return min(chunks, key=lambda chunk: self._distance(chunk.actions, plan))

    def _distance(self, actions: NDArray[np.float64], plan: NDArray[np.float64]) -> float:
        gaps = np.linalg.norm(actions[: len(plan)] - plan, axis=1)
        return float(self.decay ** np.arange(len(plan)) @ gaps)
