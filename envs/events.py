"""Scene events every dual-arm task understands: the light, a camera, the instruction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind, event_presets, register_preset
from xr0_sim.perturb.triggers import AtPhase, AtTime


def check_events(events: Sequence[Event], env: type) -> None:
    """Rejects events that were made for the scene of another task.

    Args:
        events: What shall happen.
        env: Class of the environment it shall happen in.
    """
    for event in events:
        if not _fits(event, env):
            fitting = ", ".join(n for n, preset in event_presets().items() if _fits(preset, env))
            raise ConfigError(
                f"event {event.kind!r}: expected one for {env.__name__}, got one of "
                f"{type(event).__module__}; choose from {fitting}"
            )


def _fits(event: Event, env: type) -> bool:
    """Whether an event is general, or comes from the package of the environment or of a base."""
    home = type(event).__module__
    packages = {cls.__module__.rpartition(".")[0] for cls in env.__mro__}
    task_events = home.startswith("envs.") and home != __name__
    return not task_events or home.rpartition(".")[0] in packages


@event_kind("move_light")
@dataclass(frozen=True)
class MoveLight(Event):
    """The key light jumps sideways and changes its strength.

    Attributes:
        distance_m: How far, in a random horizontal direction [m].
        brightness: Factor on its diffuse colour.
    """

    distance_m: float = 0.8
    brightness: float = 0.6

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Moves the light."""
        angle = float(rng.uniform(0, 2 * math.pi))
        scene.move_light("key", self.distance_m * np.array([math.cos(angle), math.sin(angle), 0.0]))
        scene.dim_light("key", self.brightness)
        return {"angle_rad": angle}


@event_kind("move_camera")
@dataclass(frozen=True)
class MoveCamera(Event):
    """A policy camera is knocked: shifted and turned a little.

    Attributes:
        camera: Name of the camera.
        shift_m: How far [m], random direction.
        turn_deg: How much it turns [°], random axis.
    """

    camera: str = CAMERAS[0]
    shift_m: float = 0.02
    turn_deg: float = 3.0

    def __post_init__(self) -> None:
        """Rejects unknown cameras."""
        if self.camera not in CAMERAS:
            raise unknown_name("camera", self.camera, CAMERAS)

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Knocks the camera."""
        shift, axis = rng.normal(size=3), rng.normal(size=3)
        shift *= self.shift_m / np.linalg.norm(shift)
        axis *= math.radians(self.turn_deg) / np.linalg.norm(axis)
        scene.knock_camera(self.camera, shift, axis)
        return {"shift_m": shift.tolist(), "turn_rad": axis.tolist()}


@event_kind("change_instruction")
@dataclass(frozen=True)
class ChangeInstruction(Event):
    """The task is stated anew; without a text the scene draws another one of its own.

    Attributes:
        text: The new instruction, or "" to let the task draw it.
    """

    text: str = ""

    def apply(self, scene: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Changes the instruction."""
        if self.text:
            scene.set_instruction(self.text)
        else:
            scene.redraw_instruction(rng)
        return {"instruction": scene.instruction}


register_preset("move_light", MoveLight(trigger=AtTime(1.0)))
register_preset("move_camera", MoveCamera(trigger=AtTime(1.0)))
register_preset("change_instruction", ChangeInstruction(trigger=AtPhase("reach", 0.1)))
