"""The 32-wide action rows of each robot type: what they mean, which count, how they are scaled.

A released checkpoint keeps the statistics of every robot type it knows in
``preprocessor_config.json``:

```
    {"action_config": {"ROBOT_TYPE": {"mean": [[...32] x T], "std": [[...32] x T]}, ...}, ...}
```

Rules of the release, as facts: an entry counts where its spread exceeds 1e-5 (released processor);
training normalises with ``(a - mean) / (std + 1e-6)`` (post-training code), decoding is
``a * std + mean`` without that term (released processor). Our own `Normalizer` inverts exactly; the
difference is a millionth of the normalised value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xr0_sim.atomic import write_json
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.spec.action_layout import ARM_STRIDE, JAW, JOINTS, LAYOUT_DIM, TOOL_POS, TOOL_ROT
from xr0_sim.model.spec.json_file import LARGEST_TABLE_BYTES, read_object
from xr0_sim.model.spec.normalizer import EPSILON, Normalizer

PREPROCESSOR_FILE = "preprocessor_config.json"
STATISTICS_KEY = "action_config"
ACTIVE_STD = 1e-5
"""An entry counts where its spread is larger (released processor)."""


def _arm_slots(name: str, base: int) -> dict[str, slice]:
    return {
        f"{name}_tool_pos": slice(base + TOOL_POS.start, base + TOOL_POS.stop),
        f"{name}_tool_rot": slice(base + TOOL_ROT.start, base + TOOL_ROT.stop),
        f"{name}_jaw": slice(base + JAW, base + JAW + 1),
        f"{name}_joints": slice(base + JOINTS.start, base + JOINTS.stop),
    }


ACTION_SLOTS: dict[str, slice] = {
    **_arm_slots("left", 0),
    **_arm_slots("right", ARM_STRIDE),
}
"""Named parts of a row [m, rad, jaw opening, rad]; a single-arm robot type uses the left ones."""


@dataclass(frozen=True)
class RobotSchema:
    """Statistics of one robot type.

    Attributes:
        robot_type: Name, e.g. "libero_all".
        mean: (T, 32) per chunk index, physical units.
        std: (T, 32) raw spread; about zero where a dimension carries nothing.
    """

    robot_type: str
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Rejects statistics of the wrong shape, not finite or negative."""
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[1] != LAYOUT_DIM or not np.isfinite(value).all():
                raise ConfigError(
                    f"{name} of robot type {self.robot_type}: expected finite (T, {LAYOUT_DIM}), "
                    f"got {value.shape}; compute it per chunk index"
                )
        if self.mean.shape != self.std.shape or self.std.min() < 0.0:
            raise ConfigError(
                f"statistics of robot type {self.robot_type}: expected mean and std of one shape "
                f"and std >= 0, got {self.mean.shape}, {self.std.shape}, {self.std.min()}"
            )

    @property
    def action_length(self) -> int:
        """Chunk rows T."""
        return self.mean.shape[0]

    @property
    def action_mask(self) -> NDArray[np.bool_]:
        """(T, 32) True where an entry counts."""
        return self.std > ACTIVE_STD

    @property
    def slots(self) -> dict[str, slice]:
        """Named parts of a row that carry anything for this robot type."""
        used = np.asarray(self.action_mask.any(0))
        return {name: part for name, part in ACTION_SLOTS.items() if used[part].any()}

    def encode(self, actions: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., d, 32) relative rows 0..d-1 of a chunk to normalised ones, zero where masked."""
        rows = self._rows(actions)
        scaled = (actions - self.mean[:rows]) / (self.std[:rows] + EPSILON)
        return np.where(self.action_mask[:rows], scaled, 0.0).astype(np.float32)

    def decode(self, actions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., d, 32) normalised rows to relative actions in physical units."""
        rows = self._rows(actions)
        return np.asarray(actions, np.float64) * self.std[:rows] + self.mean[:rows]

    def _rows(self, actions: NDArray[np.floating]) -> int:
        if actions.shape[-1] != LAYOUT_DIM or actions.shape[-2] > self.action_length:
            raise ConfigError(
                f"actions for robot type {self.robot_type}: expected (..., at most "
                f"{self.action_length}, {LAYOUT_DIM}), got {actions.shape}"
            )
        return actions.shape[-2]

    @classmethod
    def of(cls, robot_type: str, normalizer: Normalizer, mask: NDArray[np.bool_]) -> RobotSchema:
        """Statistics of our own policies; ``mask`` (32,) switches dimensions off.

        Our normaliser's spread already contains its floor, so 1e-6 goes into it here and decoding
        stays the exact inverse of training.
        """
        std = (normalizer.action_std.astype(np.float64) + EPSILON) * mask
        return cls(robot_type, normalizer.action_mean.astype(np.float64) * mask, std)


def load_schemas(directory: Path) -> dict[str, RobotSchema]:
    """Robot types of a checkpoint directory; statistics of one row are meant for every row."""
    path = directory / PREPROCESSOR_FILE
    values = read_object(path, "statistics", "restore the file", LARGEST_TABLE_BYTES)
    try:
        return {name: _schema(name, found) for name, found in values[STATISTICS_KEY].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"statistics {path}: expected JSON with {STATISTICS_KEY}.ROBOT.mean and std, got "
            f"{type(error).__name__}: {error}; restore the file"
        ) from error


def save_schemas(directory: Path, schemas: Mapping[str, RobotSchema]) -> None:
    """Writes the statistics, keeping whatever else the file holds."""
    path = directory / PREPROCESSOR_FILE
    try:
        values = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise CheckpointError(
            f"statistics {path}: expected JSON to extend, got {error}; remove or restore the file"
        ) from error
    values[STATISTICS_KEY] = {
        name: {"mean": schema.mean.tolist(), "std": schema.std.tolist()}
        for name, schema in schemas.items()
    }
    write_json(path, values)


def _schema(name: str, values: Mapping[str, object]) -> RobotSchema:
    mean, std = (np.atleast_2d(np.asarray(values[key], np.float64)) for key in ("mean", "std"))
    return RobotSchema(name, mean, std)
