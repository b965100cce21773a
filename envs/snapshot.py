"""The state of an episode, kept and restored bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.assessment import Assessment

STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
"""The only state set that restores bit for bit; it carries ``eq_active``."""
MODEL_FIELDS = (
    "eq_data",
    "light_pos",
    "light_diffuse",
    "cam_pos",
    "cam_quat",
    "geom_rgba",
    "geom_friction",
)
"""Model arrays an event may change; part of a snapshot."""
SCENE_FIELDS = ("body_pos", "body_mass", "geom_size", "geom_pos", "geom_rgba")
"""Model arrays that tell drawn scenes apart."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that decides the future of an episode; opaque to callers.

    Attributes:
        episode: Which episode it belongs to, see `episode_digest`.
    """

    episode: str
    physics: NDArray[np.float64]
    model: dict[str, NDArray[np.float64]]
    command: NDArray[np.float64]
    tick: int
    instruction: str
    schedule: Any
    frozen: Any
    senses: Any
    rng: Mapping[str, Any]
    assessment: Assessment
    failure: str | None
    protective_stop: tuple[int, int, str]
    task: Any
    pusher: Any = None
    belt: Any = None
    faults: Any = None


def physics_state(model: mujoco.MjModel, data: mujoco.MjData) -> NDArray[np.float64]:
    """The integration state as one flat vector."""
    physics = np.empty(mujoco.mj_stateSize(model, STATE))
    mujoco.mj_getState(model, data, physics, STATE)
    return physics


def model_fields(model: mujoco.MjModel) -> dict[str, NDArray[np.float64]]:
    """Copies of what an event may change in a model."""
    return {name: getattr(model, name).copy() for name in MODEL_FIELDS}


def restore_physics(model: mujoco.MjModel, data: mujoco.MjData, state: Snapshot) -> None:
    """Puts model and physics back; positions are current afterwards."""
    for name, value in state.model.items():
        getattr(model, name)[:] = value
    mujoco.mj_setState(model, data, state.physics, STATE)
    mujoco.mj_kinematics(model, data)


def episode_digest(model: mujoco.MjModel, data: mujoco.MjData, *parts: object) -> str:
    """Identity of an episode: its scene as drawn, its first state, and whatever else decides it.

    Args:
        model: Compiled scene.
        data: State at the start.
        parts: Events, random state and the like; compared by their `repr`.
    """
    digest = blake2b(repr(parts).encode(), digest_size=16)
    for name in SCENE_FIELDS:
        digest.update(np.ascontiguousarray(getattr(model, name)).tobytes())
    digest.update(physics_state(model, data).tobytes())
    return digest.hexdigest()
