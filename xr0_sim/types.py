"""The values that cross layer borders: observations, action chunks and the ports around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class RobotState:
    """Proprioception of both arms, index 0 = left.

    Attributes:
        joint_pos: (2, 6) [rad].
        joint_vel: (2, 6) [rad/s].
        jaw: (2,) opening fraction, 0 closed .. 1 open.
        tool_pos: (2, 3) tool position in the world frame [m].
        tool_quat: (2, 4) tool orientation in the world frame, wxyz.
        command: (14,) last commanded environment action (absolute targets).
    """

    joint_pos: NDArray[np.float64]
    joint_vel: NDArray[np.float64]
    jaw: NDArray[np.float64]
    tool_pos: NDArray[np.float64]
    tool_quat: NDArray[np.float64]
    command: NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """What a chunk model may see, captured at the start of a control tick.

    Attributes:
        tick: Control tick of the capture.
        time_ns: Simulated time of the capture [ns].
        robot: Proprioception.
        images: Camera name -> (H, W, 3) uint8; empty for models that do not look.
        instruction: Natural-language instruction in force at the capture.
        privileged: Ground truth for scripted experts; None for learned policies.
    """

    tick: int
    time_ns: int
    robot: RobotState
    images: Mapping[str, NDArray[np.uint8]]
    instruction: str
    privileged: object | None = None


@dataclass(frozen=True)
class ActionChunk:
    """A run of absolute environment actions; row i belongs to tick ``first_tick + i``.

    Attributes:
        actions: (T, 14) absolute targets (see `xr0_sim.conventions`).
        first_tick: Tick of row 0, i.e. the tick of the observation it was computed from.
    """

    actions: NDArray[np.float64]
    first_tick: int

    def __post_init__(self) -> None:
        """Rejects anything but a finite (T, 14) array."""
        shape = np.shape(self.actions)
        if len(shape) != 2 or shape[1] != ENV_ACTION_DIM or shape[0] < 1:
            raise ConfigError(f"action chunk: expected shape (T, {ENV_ACTION_DIM}), got {shape}")
        if not np.isfinite(self.actions).all():
            raise ConfigError("action chunk: expected finite values, got NaN or infinity")


@dataclass(frozen=True)
class EventRecord:
    """An event that fired.

    Attributes:
        kind: Registered name of the event.
        tick: Tick at whose start it fired; captures see it from the next tick on.
        time_ns: Start of that tick [ns].
        parameters: The event's fields and whatever `Event.apply` returned, JSON values.
    """

    kind: str
    tick: int
    time_ns: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ChunkRequest:
    """One frame to infer.

    Attributes:
        observation: What was captured.
        prefix: (d, 14) actions already committed for its first d ticks, absolute; d may be 0.
        noise_seed: (episode seed, inference number), the seed of the sampling noise.
    """

    observation: Observation
    prefix: NDArray[np.float64]
    noise_seed: tuple[int, int]


class ChunkModel(Protocol):
    """Anything that turns one observation into a chunk of future actions.

    Called by the executor at the capture tick of an inference; the *result* is delivered after the
    drawn latency. `infer` must be a pure function of its arguments and of what `reset` received.
    """

    @property
    def horizon(self) -> int:
        """Number of actions T in every chunk."""
        ...

    def reset(self, episode_seed: int) -> None:
        """Forgets everything; called once before the first `infer` of an episode."""
        ...

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """Predicts the chunk that starts at ``observation.tick``.

        Args:
            observation: Captured observation.
            prefix: (d, 14) actions already committed for the first d ticks, absolute; d may be 0.
            noise_seed: (episode seed, inference number), the seed of the sampling noise.

        Returns:
            A chunk with ``first_tick == observation.tick`` and ``horizon`` rows, of which the first
            d repeat the prefix exactly.
        """
        ...


@runtime_checkable
class BatchChunkModel(ChunkModel, Protocol):
    """A chunk model that answers several requests in one pass."""

    def infer_batch(self, requests: Sequence[ChunkRequest]) -> list[ActionChunk]:
        """`infer` for each request, in their order."""
        ...
