"""Faults of the signal path; importing the package registers them."""

from xr0_sim.perturb.signals.blank import BlankCamera
from xr0_sim.perturb.signals.cameras import FreezeCamera, FrozenCameras
from xr0_sim.perturb.signals.late import DelayCamera
from xr0_sim.perturb.signals.noise import NoisyCamera
from xr0_sim.perturb.signals.proprioception import NoisyJoints, StaleJoints

__all__ = [
    "BlankCamera",
    "DelayCamera",
    "FreezeCamera",
    "FrozenCameras",
    "NoisyCamera",
    "NoisyJoints",
    "StaleJoints",
]
