"""The values that cross layer borders: observations, action chunks and the ports around them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

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


ROBOT_SHAPES: dict[str, tuple[int, ...]] = {
    "joint_pos": (2, 6),
    "joint_vel": (2, 6),
    "jaw": (2,),
    "tool_pos": (2, 3),
    "tool_quat": (2, 4),
    "command": (ENV_ACTION_DIM,),
}
"""Fields of `RobotState` and their shapes, in the order in which others get them."""


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
        memory: What the model wants back for a refresh, its own affair; None if it has none.
    """

    actions: NDArray[np.float64]
    first_tick: int
    memory: object | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Rejects anything but a finite (T, 14) array."""
        shape = np.shape(self.actions)
        if len(shape) != 2 or shape[1] != ENV_ACTION_DIM or shape[0] < 1:
            raise ConfigError(f"action chunk: expected shape (T, {ENV_ACTION_DIM}), got {shape}")
        if not np.isfinite(self.actions).all():
            raise ConfigError("action chunk: expected finite values, got NaN or infinity")


REFUSED = "refused"
"""Parameter of an `EventRecord` that tells why the event did not happen."""


@dataclass(frozen=True)
class EventRecord:
    """An event that fired.

    Attributes:
        kind: Registered name of the event.
        tick: Tick at whose start it fired; captures see it from the next tick on.
        time_ns: Start of that tick [ns].
        parameters: The event's fields and whatever `Event.apply` returned, JSON values.
        index: Place of the event in the list of the episode's events.
    """

    kind: str
    tick: int
    time_ns: int
    parameters: Mapping[str, Any]
    index: int = 0

    @property
    def refused(self) -> str:
        """Why the event could not happen when it was due; empty if it did."""
        return str(self.parameters.get(REFUSED, ""))


@dataclass(frozen=True)
class InferenceMoment:
    """An inference under way, as triggers and strategies may see it.

    Attributes:
        number: Inference number within the episode, from 0.
        capture_tick: Tick of its observation.
        due_tick: Tick in which its chunk arrives.
        prefix_steps: Length of the prefix it was given.
        refresh: The action expert alone, on the VLM cache of an earlier inference.
    """

    number: int
    capture_tick: int
    due_tick: int
    prefix_steps: int
    refresh: bool = False


@runtime_checkable
class InferenceWatcher(Protocol):
    """A plant that wants to know which inferences are under way."""

    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """Takes note of the inferences under way in the tick that is about to be executed."""
        ...


@dataclass(frozen=True)
class Guide:
    """Soft targets for the first rows of a chunk, as guided real-time chunking gives them.

    Attributes:
        actions: (n, 14) absolute targets of ticks ``observation.tick + i``.
        weights: (n,) in [0, 1]; 1 asks for the row as it is, 0 for nothing.
        strength: Largest factor on the pull towards them.
    """

    actions: NDArray[np.float64]
    weights: NDArray[np.float64]
    strength: float = 5.0

    def __post_init__(self) -> None:
        """Rejects shapes that do not belong together and weights outside [0, 1]."""
        shape, weights = np.shape(self.actions), np.asarray(self.weights)
        if len(shape) != 2 or shape[1] != ENV_ACTION_DIM or weights.shape != shape[:1]:
            raise ConfigError(
                f"guide: expected actions (n, {ENV_ACTION_DIM}) and weights (n,), got {shape} "
                f"and {weights.shape}"
            )
        if not np.isfinite(self.actions).all() or not ((weights >= 0) & (weights <= 1)).all():
            raise ConfigError("guide: expected finite actions and weights in [0, 1]")
        if not 0.0 <= self.strength < np.inf:
            raise ConfigError(f"guide strength: expected >= 0 and finite, got {self.strength}")


def no_prefix() -> NDArray[np.float64]:
    """The prefix (0, 14) of a chunk without one."""
    return np.empty((0, ENV_ACTION_DIM))


@dataclass(frozen=True)
class ChunkRequest:
    """One inference asked of a chunk model.

    Attributes:
        observation: What was captured.
        prefix: (d, 14) actions already committed for its first d ticks, absolute; d may be 0.
        noise_seed: (episode seed, inference number), the seed of the sampling noise; filled in by
            the executor.
        guide: Soft targets beside the hard prefix; needs the capability ``guide``.
        samples: Chunks to draw; more than one needs the capability ``samples``.
        refresh: Number of a finished inference whose VLM cache is used again, so that only the
            action expert runs; needs the capability ``refresh``. None for a full inference.
        memory: `ActionChunk.memory` of that inference; filled in by the executor.
        assumed: (m, 14) actions that will have been executed before the chunk begins: its row 0
            belongs to tick ``observation.tick + m``. Needs the capability ``roll_forward``.
        noise: ``inference`` draws the sampling noise anew for every inference; ``tick`` gives each
            tick its own, so that chunks which overlap share it (capability ``tick_noise``).
    """

    observation: Observation
    prefix: NDArray[np.float64] = field(default_factory=no_prefix)
    noise_seed: tuple[int, int] = (0, 0)
    guide: Guide | None = None
    samples: int = 1
    refresh: int | None = None
    memory: object | None = field(default=None, compare=False, repr=False)
    assumed: NDArray[np.float64] = field(default_factory=no_prefix)
    noise: Literal["inference", "tick"] = "inference"

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities of a model that can answer this request."""
        needs = {
            "prefix": len(self.prefix) > 0,
            "guide": self.guide is not None,
            "samples": self.samples > 1,
            "refresh": self.refresh is not None,
            "roll_forward": len(self.assumed) > 0,
            "tick_noise": self.noise == "tick",
        }
        return frozenset(name for name, needed in needs.items() if needed)


CAPABILITIES = {
    "prefix": "repeats committed actions as the first rows of its chunk",
    "guide": "takes soft targets for its first rows",
    "samples": "draws several chunks of one inference",
    "gradient": "differentiates a chunk with respect to its targets",
    "refresh": "denoises again from the VLM cache of an earlier inference",
    "roll_forward": "plans from where actions that are still to be executed will have led",
    "tick_noise": "gives every tick its own sampling noise",
    "correct": "corrects a planned action by the newest observation, see `runtime.correction`",
}
"""What a chunk model may be able to do, and a strategy may need."""

PREFIX_ONLY = frozenset({"prefix"})
"""Capabilities of a model that declares none: `ChunkModel.infer` takes a prefix."""


def capabilities_of(model: object) -> frozenset[str]:
    """Capabilities that a chunk model declares in its attribute ``capabilities``.

    Raises:
        ConfigError: A name that is not in `CAPABILITIES`.
    """
    found = frozenset(getattr(model, "capabilities", PREFIX_ONLY))
    unknown = sorted(found - set(CAPABILITIES))
    if unknown:
        raise ConfigError(
            f"{type(model).__name__}.capabilities: expected names out of "
            f"{', '.join(CAPABILITIES)}, got {', '.join(unknown)}"
        )
    return found


class ChunkModel(Protocol):
    """Anything that turns one observation into a chunk of future actions.

    Called by the executor at the capture tick of an inference; the *result* is delivered after the
    drawn latency. `infer` must be a pure function of its arguments and of what `reset` received.
    A model that can do more than repeat a prefix says so in an attribute ``capabilities`` (names of
    `CAPABILITIES`) and offers `RequestChunkModel.infer_request` for it.
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
class RequestChunkModel(ChunkModel, Protocol):
    """A chunk model that answers more than a prefix: guides, samples, a refresh and so on."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Names out of `CAPABILITIES`."""
        ...

    def infer_request(self, request: ChunkRequest) -> Sequence[ActionChunk]:
        """``request.samples`` chunks, each as `ChunkModel.infer` returns one."""
        ...


def infer_chunks(model: ChunkModel, request: ChunkRequest) -> tuple[ActionChunk, ...]:
    """Answers a request by the method of the model that can.

    Raises:
        ConfigError: The request needs a capability that the model does not declare.
    """
    if not request.needs - PREFIX_ONLY:
        return (model.infer(request.observation, request.prefix, request.noise_seed),)
    missing = sorted(request.needs - capabilities_of(model))
    if missing or not isinstance(model, RequestChunkModel):
        raise ConfigError(
            f"{type(model).__name__}: expected a model with {', '.join(missing) or 'infer_request'}"
            f", it has {', '.join(sorted(capabilities_of(model)))}; use another strategy or model"
        )
    chunks = tuple(model.infer_request(request))
    if len(chunks) != request.samples:
        raise ConfigError(
            f"{type(model).__name__}: expected {request.samples} chunks, got {len(chunks)}"
        )
    return chunks


@runtime_checkable
class CountingChunkModel(ChunkModel, Protocol):
    """A chunk model that knows what its inferences cost."""

    def flops(self, request: ChunkRequest) -> float | None:
        """Floating-point operations of a request, a multiply-add counts two; None if unknown."""
        ...


def flops_of(model: object, request: ChunkRequest) -> float:
    """What a model says of a request; NaN where it does not say.

    Raises:
        ConfigError: A number that no count can be.
    """
    if not isinstance(model, CountingChunkModel):
        return math.nan
    told = model.flops(request)
    if told is None:
        return math.nan
    if not 0.0 <= told < math.inf:
        raise ConfigError(
            f"{type(model).__name__}.flops: expected a count >= 0 or None, got {told}"
        )
    return float(told)


@runtime_checkable
class BatchChunkModel(ChunkModel, Protocol):
    """A chunk model that answers several requests in one pass."""

    def infer_batch(self, requests: Sequence[ChunkRequest]) -> list[ActionChunk]:
        """`infer` for each request, in their order."""
        ...
