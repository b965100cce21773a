"""A camera that delivers nothing: its pictures are black for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.signals.pictures import CameraFault, PictureFault
from xr0_sim.perturb.triggers import AtTime


@event_kind("blank_camera")
@dataclass(frozen=True)
class BlankCamera(CameraFault):
    """One camera drops its pictures for a while; the view is black.

    Attributes:
        camera: Name of the camera.
        duration_s: How long [s].
    """

    def apply(self, scene: Any, rng: np.random.Generator) -> None:
        """Drops pictures from this tick on."""
        scene.alter_pictures(PictureFault(self.camera, self.duration_s, blank=True))


register_preset("blank_camera", BlankCamera(trigger=AtTime(2.0)))
