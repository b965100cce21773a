"""What events do to a simulator in another process, its snapshots, and its films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.events import check_events
from envs.instruction import encode_instruction
from envs.outside.reading import checked_reading
from envs.outside.scene import OutsideScene
from xr0_sim.errors import ConfigError, PlantLostError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_presets, parse_events
from xr0_sim.perturb.schedule import EventSchedule, ScheduleState
from xr0_sim.perturb.signals.pictures import PictureFault
from xr0_sim.types import InferenceMoment

SCENE_CAMERA = "scene"
IMPOSSIBLE = ("move_light", "stale_joints", "noisy_joints")
"""Kinds of general events that no simulator in another process knows."""


@dataclass(frozen=True)
class OutsideSnapshot:
    """State of an episode, the simulator's own included.

    Attributes:
        episode: Which episode it is of.
        simulator: What the simulator goes on from.
        command: (14,) last command.
        tick: Control ticks so far.
        instruction: Instruction in force.
        schedule: Events that have fired.
        cameras: Faults of the cameras.
    """

    episode: str
    simulator: Mapping[str, Any]
    command: NDArray[np.float64]
    tick: int
    instruction: str
    schedule: ScheduleState
    cameras: Any


class OutsideEnv(OutsideScene):
    """Base of the tasks of other projects; offers what `envs.plant.EnvPlant` needs.

    Args:
        observation: ``state``; for others' sake.
        image_size: Side of the square policy pictures [px]; None for ``usual_image_size``.
        render_mode: None or ``rgb_array``.
        render_size: (height, width) of `render` [px].
    """

    checks_room = True
    """Whether an event that finds no room is refused."""

    @classmethod
    def suffers(cls, event: Event) -> None:
        """Rejects events that cannot happen in such a task.

        Raises:
            ConfigError: Its kind, or its camera, is none of this task.
        """
        if cls._can_suffer(event):
            return
        fitting = [name for name, preset in event_presets().items() if cls._can_suffer(preset)]
        raise ConfigError(
            f"event {event.kind!r}: expected one that can happen in {cls.__name__}; choose from "
            f"{', '.join(fitting)}, with cameras {', '.join(cls.cameras)}"
        )

    @classmethod
    def _can_suffer(cls, event: Event) -> bool:
        home = type(event).__module__
        foreign = home.startswith("envs.") and home != "envs.events"
        packages = {base.__module__.rpartition(".")[0] for base in cls.__mro__}
        own = home.rpartition(".")[0] in packages
        sees = getattr(event, "camera", None) in (None, *cls.cameras)
        return event.kind not in IMPOSSIBLE and sees and (own or not foreign)

    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """Tells the event schedule which inferences are under way in the coming tick."""
        self._schedule.note_inferences(inferences)

    def events_due(self, events: Sequence[Event]) -> bool:
        """Whether one of some events, none of them scheduled, would fire in the coming tick."""
        return self._schedule.due(events, self, self.tick, self.time_ns, self.phase)

    # ---------------------------------------------------------------- what events do
    def shift_object(self, name: str, offsets: NDArray[np.float64]) -> int:
        """Moves an object by the first of some offsets (n, 3) [m] with room; its row, or -1."""
        if name not in self.objects:
            raise unknown_name("object", name, self.objects)
        told = self._process.ask("shift", name=name, offsets=np.asarray(offsets, np.float64))
        self._moved(told["reading"])
        return int(told["place"])

    def knock_camera(
        self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]
    ) -> None:
        """Shifts [m] and turns [rad] a policy camera in its parent's frame."""
        self._process.ask("knock", camera=camera, shift=shift, rotvec=rotvec)
        self._cameras.moved(self.tick)

    def freeze_camera(self, camera: str, duration_s: float) -> None:
        """Shows the present picture of `camera` for `duration_s` [s]."""
        self._cameras.freeze(camera, self.tick, duration_s)

    def alter_pictures(self, fault: PictureFault) -> None:
        """Begins a fault of one camera's pictures."""
        self._cameras.alter(fault, self.tick)

    def set_instruction(self, text: str) -> None:
        """Changes the instruction from the next observation on."""
        encode_instruction(text)
        self.instruction = text

    def redraw_instruction(self, rng: np.random.Generator) -> None:
        """There is nothing to draw from.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "event 'change_instruction': expected a text, this task has one instruction; write "
            "change_instruction:text=..."
        )

    # ---------------------------------------------------------------- snapshots
    def snapshot(self) -> OutsideSnapshot:
        """The present state; `restore` continues from it bit for bit."""
        self._known()
        return OutsideSnapshot(
            episode=self._episode,
            simulator=self._process.ask("snapshot"),
            command=self._command,
            tick=self.tick,
            instruction=self.instruction,
            schedule=self._schedule.snapshot(),
            cameras=self._cameras.snapshot(),
        )

    def restore(self, state: OutsideSnapshot) -> None:
        """Returns to a snapshot of the same episode.

        Raises:
            ConfigError: It is no snapshot, or one of another episode.
            PlantLostError: The process was lost since, and the episode with it.
        """
        if not isinstance(state, OutsideSnapshot) or state.episode != self._episode:
            raise ConfigError(
                "restore: expected a snapshot of the episode under way; reset with that one's "
                "seed, options and arguments first"
            )
        if not self._process.alive:
            raise PlantLostError("simulator: its process is gone, and the episode with it")
        self._command, self.tick = state.command, state.tick
        self.instruction = state.instruction
        self._schedule.restore(state.schedule)
        self._reading = checked_reading(self._process.ask("restore", state=dict(state.simulator)))
        self._cameras.restore(state.cameras)

    def branch(self, state: OutsideSnapshot, events: Sequence[Event]) -> None:
        """Goes on from a snapshot of this reset as if it had been made with ``events``.

        Raises:
            ConfigError: The snapshot is one of another reset, or events had fired in it.
        """
        if state.schedule.fired or state.episode != self._undisturbed:
            raise ConfigError(
                "branch: expected a snapshot of this reset in which no event had fired; take it "
                "in an episode without events"
            )
        events = parse_events(events)
        check_events(events, type(self))
        self._episode = self._undisturbed
        self._schedule = EventSchedule(events, self._seed)
        self.restore(state)
        self._episode = f"{self._undisturbed} {events!r}"

    # ---------------------------------------------------------------- films
    def render(self) -> NDArray[np.uint8] | None:
        """A picture of the whole scene for films, (H, W, 3) uint8; None without a render mode."""
        return self.film_image(SCENE_CAMERA) if self.render_mode else None

    def film_image(self, camera: str) -> NDArray[np.uint8]:
        """A picture by a camera at the size of films, (H, W, 3) uint8."""
        self._known()
        if camera not in (SCENE_CAMERA, *self.cameras):
            raise unknown_name("camera", camera, (SCENE_CAMERA, *self.cameras))
        return self._cameras.picture(camera, *self.render_size)

    def close(self) -> None:
        """Ends the process; may be called more than once."""
        self._reading = None
        self._process.close()

    def __getattr__(self, name: str) -> Any:
        """One line for what only scenes of ours have, and for what an episode brings."""
        if name in ("model", "data", "kinematics"):
            raise ConfigError(
                f"{type(self).__name__}: expected a scene of ours for its {name}; this one is "
                "played in another process, look at a film of it"
            )
        raise AttributeError(f"{type(self).__name__}.{name}: expected a reset first")
