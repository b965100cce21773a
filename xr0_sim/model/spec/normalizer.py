"""Mean/std normalisation of relative actions (per chunk index) and of states, with inverses.

Reference: ``(a - mean[T, 32]) / (std[T, 32] + 1e-6)``. Dimensions that hardly vary in the training
set (an idle arm, padding) get the floor below instead of their own spread; otherwise sampling noise
of the size of measurement noise would reach the network as unit-variance signal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.spec.action_layout import LAYOUT_DIM, UNNORMALISED_LAYOUTS, encode_state
from xr0_sim.types import RobotState

EPSILON = 1e-6
ACTION_STD_FLOOR = 1e-3
"""Smallest action spread: 1 mm, 1 mrad or 0.1 % of the jaw opening."""
STATE_STD_FLOOR = 1e-2
"""Smallest state spread; larger, since a state carries measurement noise."""


class MomentAccumulator:
    """Streaming masked mean and variance (Chan's parallel update, float64).

    Args:
        shape: Shape of one observation, e.g. (T, 32).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = np.zeros(shape)
        self.mean = np.zeros(shape)
        self._square = np.zeros(shape)

    def add(self, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """Takes in a batch (N, *shape); ``mask`` marks the entries that count."""
        weight = np.ones(values.shape) if mask is None else np.broadcast_to(mask, values.shape)
        weight = weight.astype(np.float64)
        count = weight.sum(0)
        safe = np.maximum(count, 1.0)
        mean = (values * weight).sum(0) / safe
        square = (((values - mean) ** 2) * weight).sum(0)
        total = self.count + count
        shift = mean - self.mean
        self._square += square + shift**2 * self.count * count / np.maximum(total, 1.0)
        self.mean += shift * count / np.maximum(total, 1.0)
        self.count = total

    def std(self) -> NDArray[np.float64]:
        """Population standard deviation, zero where nothing was seen."""
        return np.sqrt(self._square / np.maximum(self.count, 1.0))


@dataclass(frozen=True)
class Normalizer:
    """Frozen statistics of one training set.

    Attributes:
        action_mean: (T, 32) physical units.
        action_std: (T, 32), already floored.
        state_mean: (32,).
        state_std: (32,), already floored.
    """

    action_mean: NDArray[np.float32]
    action_std: NDArray[np.float32]
    state_mean: NDArray[np.float32]
    state_std: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Rejects statistics of the wrong shape or with a zero spread."""
        length = self.action_mean.shape[0]
        for name, shape in (
            ("action_mean", (length, LAYOUT_DIM)),
            ("action_std", (length, LAYOUT_DIM)),
            ("state_mean", (LAYOUT_DIM,)),
            ("state_std", (LAYOUT_DIM,)),
        ):
            value = getattr(self, name)
            if value.shape != shape or not np.isfinite(value).all():
                raise ConfigError(f"normalizer {name}: expected finite {shape}, got {value.shape}")
        if min(self.action_std.min(), self.state_std.min()) <= 0.0:
            raise ConfigError("normalizer: expected every std > 0, got zero; refit the statistics")

    @classmethod
    def fit(cls, actions: MomentAccumulator, states: MomentAccumulator) -> Normalizer:
        """Applies the floors to accumulated moments of shape (T, 32) and (32,)."""
        return cls(
            actions.mean.astype(np.float32),
            np.maximum(actions.std(), ACTION_STD_FLOOR).astype(np.float32),
            states.mean.astype(np.float32),
            np.maximum(states.std(), STATE_STD_FLOOR).astype(np.float32),
        )

    @classmethod
    def identity(cls, action_length: int) -> Normalizer:
        """Statistics that change nothing (up to the reference's epsilon)."""
        zeros = np.zeros((action_length, LAYOUT_DIM), np.float32)
        return cls(zeros, zeros + 1.0, zeros[0].copy(), zeros[0] + 1.0)

    @property
    def action_length(self) -> int:
        """Number of chunk rows T the statistics cover."""
        return self.action_mean.shape[0]

    def normalize_actions(self, actions: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., d, 32) relative rows 0..d-1 of a chunk, d <= T, to about unit variance."""
        rows = actions.shape[-2]
        scaled = (actions - self.action_mean[:rows]) / (self.action_std[:rows] + EPSILON)
        return scaled.astype(np.float32)

    def denormalize_actions(self, actions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Inverse of `normalize_actions`."""
        rows = actions.shape[-2]
        std = self.action_std[:rows].astype(np.float64) + EPSILON
        return actions.astype(np.float64) * std + self.action_mean[:rows]

    def normalize_state(self, state: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., 32) state to about unit variance."""
        return ((state - self.state_mean) / (self.state_std + EPSILON)).astype(np.float32)

    def network_state(self, robot: RobotState, state_layout: str) -> NDArray[np.float32]:
        """(..., 32) state of a robot as the network reads it: laid out, normalised unless raw."""
        state = encode_state(robot, state_layout)
        if state_layout in UNNORMALISED_LAYOUTS:
            return state.astype(np.float32)
        return self.normalize_state(state)

    def denormalize_state(self, state: NDArray[np.floating]) -> NDArray[np.float64]:
        """Inverse of `normalize_state`."""
        return state.astype(np.float64) * (self.state_std + EPSILON) + self.state_mean

    def save(self, path: Path) -> None:
        """Writes the statistics as safetensors, atomically."""
        from safetensors.numpy import save

        from xr0_sim.atomic import write_bytes

        write_bytes(path, save({name: getattr(self, name) for name in self.__dataclass_fields__}))

    @classmethod
    def load(cls, path: Path) -> Normalizer:
        """Reads `save` output; a missing or damaged file is a CheckpointError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(path.read_bytes())
            return cls(**{name: tensors[name] for name in cls.__dataclass_fields__})
        except (OSError, KeyError, SafetensorError, ConfigError) as error:
            raise CheckpointError(
                f"normalizer {path}: expected a complete safetensors file with action and state "
                f"statistics, got {type(error).__name__}: {error}; restore the file or refit"
            ) from error
