"""The port of latency models: how long one inference truly takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from xr0_sim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LatencyContext:
    """What a latency may depend on.

    Attributes:
        number: Inference number within the episode, from 0.
        time_ns: Simulated time of the capture [ns].
        refresh: Only the action expert runs, on the VLM cache of an earlier inference.
        previous_s: What the inference before took [s]; None for the first of an episode.
    """

    number: int
    time_ns: int
    refresh: bool = False
    previous_s: float | None = None


@runtime_checkable
class LatencyModel(Protocol):
    """True duration of one inference, capture to result; sampled once when it starts."""

    @property
    def label(self) -> str:
        """Short text for captions and tables."""
        ...

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws a latency [s], >= 0."""
        ...


@runtime_checkable
class LosesChunks(LatencyModel, Protocol):
    """A latency whose chunks may never arrive; `sample` is then when they are given up."""

    def lost(self, rng: np.random.Generator, context: LatencyContext) -> bool:
        """Whether the chunk is lost; the generator is at the start that `sample` gets it at."""
        ...


def check_seconds(name: str, seconds: float) -> None:
    """Rejects durations [s] that are negative or not finite."""
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"latency {name}: expected finite seconds >= 0, got {seconds}")
