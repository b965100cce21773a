"""A camera whose pictures are noisy for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xr0_sim.fields import check_range
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.signals.pictures import CameraFault, PictureFault
from xr0_sim.perturb.triggers import AtTime


@event_kind("noisy_camera")
@dataclass(frozen=True)
class NoisyCamera(CameraFault):
    """White noise on every pixel of one camera for a while, new in every frame.

    Attributes:
        camera: Name of the camera.
        duration_s: How long [s].
        noise: Standard deviation [grey levels].
    """

    noise: float = 25.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        super().__post_init__()
        check_range(self, "noise", 0.0, 128.0, "grey levels")

    def apply(self, scene: Any, rng: np.random.Generator) -> None:
        """Adds noise from this tick on."""
        seed = int(rng.integers(2**31))
        scene.alter_pictures(
            PictureFault(self.camera, self.duration_s, noise=self.noise, seed=seed)
        )


register_preset("noisy_camera", NoisyCamera(trigger=AtTime(2.0)))
