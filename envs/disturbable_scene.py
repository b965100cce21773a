"""What events do to a scene: sensors, lights, words, pushes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.episode_scene import EpisodeScene
from envs.events import check_events
from envs.instruction import encode_instruction
from envs.scene.belt import BeltRun
from envs.scene.placement import Trial
from envs.scene.pusher import Stroke
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.signals.pictures import PictureFault
from xr0_sim.perturb.signals.proprioception import JointFault
from xr0_sim.types import InferenceMoment


class DisturbableScene(EpisodeScene):
    """An episode that events can change."""

    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """Tells the event schedule which inferences are under way in the coming tick."""
        self._schedule.note_inferences(inferences)

    def add_event(self, event: Event) -> None:
        """Adds an event to those of the episode under way, which is another one from now on.

        Raises:
            ConfigError: It does not fit this task or world.
        """
        check_events((event,), type(self), world=self.world)
        self._schedule.add(event)
        self._episode = f"{self._episode} + {event!r}"

    @property
    def checks_room(self) -> bool:
        """Whether an event that finds no room, or nothing to act on, is refused."""
        return self.world.pushes

    def begin_push(self, strokes: Iterable[Stroke]) -> Stroke | None:
        """Begins the first of some pushes for which there is room; None if there is none."""
        pusher = self._pusher
        if pusher is None or pusher.busy:
            return None
        trial = Trial(self.model, self.data)
        for stroke in strokes:
            pusher.place(trial.data, stroke)
            if trial.overlap({pusher.body}) == 0.0:
                pusher.begin(self.data, stroke)
                return stroke
        return None

    def begin_drift(self, run: BeltRun) -> bool:
        """Lets the table top run like a belt; whether it stood still and begins."""
        if self._belt.running:
            return False
        self._belt.begin(run)
        return True

    def set_instruction(self, text: str) -> None:
        """Changes the instruction from the next observation on."""
        check_text(text)
        self.instruction = text

    def freeze_camera(self, camera: str, duration_s: float) -> None:
        """Shows the present picture of `camera` for `duration_s`; see `FrozenCameras`."""
        self._views("freeze_camera").freeze(camera, self.tick, duration_s)

    def alter_pictures(self, fault: PictureFault) -> None:
        """Begins a fault of one camera's pictures."""
        self._views("alter_pictures").alter(fault, self.tick)

    def alter_readings(self, fault: JointFault) -> None:
        """Begins a fault of the encoders."""
        self._joint_faults.begin(fault, self.tick, self.measured_state())

    def move_light(self, light: str, shift: NDArray[np.float64]) -> None:
        """Moves a light by `shift` (3,) [m]."""
        self.model.light_pos[self._light(light)] += shift

    def dim_light(self, light: str, factor: float) -> None:
        """Scales a light's diffuse colour."""
        self.model.light_diffuse[self._light(light)] *= factor

    def knock_camera(
        self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]
    ) -> None:
        """Shifts [m] and turns [rad] a policy camera in its parent's frame."""
        self._views("knock_camera").knock(camera, shift, rotvec)

    def redraw_instruction(self, rng: np.random.Generator) -> None:
        """Task hook: states another goal."""
        raise ConfigError("this task cannot draw an instruction; give ChangeInstruction a text")

    def _light(self, name: str) -> int:
        known = [self.model.light(i).name for i in range(self.model.nlight)]
        if name not in known:
            raise unknown_name("light", name, known)
        return known.index(name)


def check_text(text: Any) -> None:
    """Rejects an instruction that is no text, or does not fit into an observation."""
    if not isinstance(text, str):
        raise ConfigError(f"instruction: expected text, got {text!r}")
    encode_instruction(text)
