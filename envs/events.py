"""Scene events every dual-arm task understands: the light, a camera, the instruction."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from envs.instruction import encode_instruction
from envs.world import DEFAULT_WORLD, World, find_world
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind, event_presets, event_text, register_preset
from xr0_sim.perturb.triggers import AtPhase, AtTime


def check_events(
    events: Sequence[Event],
    env: type,
    max_ticks: int | None = None,
    world: World | str = DEFAULT_WORLD,
    control_hz: int | None = None,
) -> None:
    """Rejects events that were made for another task, and those that can never fire.

    Args:
        events: What shall happen.
        env: Class of the environment it shall happen in; its ``phases`` are those of the task.
        max_ticks: Ticks of an episode at most; None for no limit.
        world: World of the episodes.
        control_hz: Control rate of the episodes [Hz]; None for that of the class.

    Raises:
        ConfigError: An event of another task, one that waits for a phase the task does not have,
            one whose time comes after the last tick, or a push in a world without a paddle.
    """
    world = find_world(world)
    for event in events:
        suffers = getattr(env, "suffers", None)
        if suffers is not None:
            suffers(event)
        if not _fits(event, env):
            fitting = ", ".join(n for n, preset in event_presets().items() if _fits(preset, env))
            raise ConfigError(
                f"event {event.kind!r}: expected one for {env.__name__}, got one of "
                f"{type(event).__module__}; choose from {fitting}"
            )
        _check_trigger(event, env, max_ticks, control_hz)
        instant = getattr(event, "needs_paddle", "")
        if instant and not world.pushes:
            raise ConfigError(
                f"event '{event_text(event)}': expected a world with a paddle, got world "
                f"{world.name}; write {instant} for {event.kind}, or take another world"
            )


def fitting_events(env: type, world: World) -> tuple[str, ...]:
    """Presets that can happen in a task and world, by name."""
    return tuple(
        name
        for name, preset in event_presets().items()
        if _fits(preset, env) and (world.pushes or not getattr(preset, "needs_paddle", ""))
    )


def in_world(texts: Sequence[str], world: World) -> tuple[str, ...]:
    """Events as text, with those that need a paddle the world has not by their instant kin."""
    if world.pushes:
        return tuple(texts)
    presets = event_presets()
    found = []
    for text in texts:
        name = re.split("[:@]", text, maxsplit=1)[0]
        kin = getattr(presets.get(name), "needs_paddle", "") or name
        found.append(kin + text[len(name) :])
    return tuple(found)


class Instant(Event):
    """A push of worlds with a paddle, done in one tick; worlds without one knew no other.

    Attributes:
        push: What the push is called, and what the log of a world without a paddle tells.
    """

    push: ClassVar[str]

    def recorded_as(self, scene: Any) -> str:
        """See `Event.recorded_as`; digests of the first world keep their meaning."""
        return self.kind if scene.checks_room else self.push


def _check_trigger(event: Event, env: type, max_ticks: int | None, control_hz: int | None) -> None:
    phases: tuple[str, ...] = getattr(env, "phases", ())
    for phase in event.trigger.awaited_phases:
        if phases and phase not in phases:
            raise ConfigError(
                f"event '{event_text(event)}': {unknown_name('phase', phase, phases)}"
            )
    if control_hz is None:
        control_hz = int(getattr(env, "control_hz", CONTROL_HZ))
    # Triggers of plug-ins may not ask for the rate.
    given = () if control_hz == CONTROL_HZ else (control_hz,)
    first = event.trigger.earliest_tick(*given)
    if max_ticks is not None and first >= max_ticks:
        raise ConfigError(
            f"event '{event_text(event)}': expected a trigger before the end of the episode, tick "
            f"{max_ticks} ({max_ticks / control_hz:g} s), got tick {first} at the earliest; "
            "choose an earlier one or a longer episode"
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

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_range(self, "distance_m", 0.0, 10.0, "m")
        check_range(self, "brightness", 0.0, 10.0)

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
        """Rejects unknown cameras, and knocks that leave the scene."""
        if self.camera not in CAMERAS:
            raise unknown_name("camera", self.camera, CAMERAS)
        check_range(self, "shift_m", 0.0, 1.0, "m")
        check_range(self, "turn_deg", 0.0, 180.0, "°")

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

    def __post_init__(self) -> None:
        """Rejects a text that does not fit into an observation."""
        if self.text:
            encode_instruction(self.text)

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
