"""Faults of the signal path; importing the package registers them."""

from xr0_sim.perturb.signals.cameras import FreezeCamera, FrozenCameras

__all__ = ["FreezeCamera", "FrozenCameras"]
