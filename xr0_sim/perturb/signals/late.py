"""A camera whose pictures come late for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xr0_sim.fields import check_range
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.signals.pictures import CameraFault, PictureFault
from xr0_sim.perturb.triggers import AtTime


@event_kind("delay_camera")
@dataclass(frozen=True)
class DelayCamera(CameraFault):
    """One camera's pictures arrive later by a fixed time, in whole ticks, for a while.

    The stream stands still for that time at first, runs late, and jumps to the present at the end::

        tick       k  k+1  k+2  k+3  k+4 ... end
        picture    k   k    k   k+1  k+2 ... end        delay of two ticks from tick k on

    Attributes:
        camera: Name of the camera.
        duration_s: How long [s].
        delay_s: How late [s].
    """

    delay_s: float = 0.2

    def __post_init__(self) -> None:
        """Checks the ranges."""
        super().__post_init__()
        check_range(self, "delay_s", 0.0, 2.0, "s")

    def apply(self, scene: Any, rng: np.random.Generator) -> None:
        """Delays pictures from this tick on."""
        scene.alter_pictures(PictureFault(self.camera, self.duration_s, delay_s=self.delay_s))


register_preset("delay_camera", DelayCamera(trigger=AtTime(2.0)))
