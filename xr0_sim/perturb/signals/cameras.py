"""Faults of the signal path, the same for every task: a camera that stops updating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.signals.pictures import CameraFault
from xr0_sim.perturb.triggers import AtTime
from xr0_sim.runtime.clock import seconds_to_ns

Image = NDArray[np.uint8]


class CameraScene(Protocol):
    """What a scene needs to suffer camera faults."""

    def freeze_camera(self, camera: str, duration_s: float) -> None:
        """Shows the present picture of ``camera`` for ``duration_s`` [s]; see `FrozenCameras`."""
        ...


@event_kind("freeze_camera")
@dataclass(frozen=True)
class FreezeCamera(CameraFault):
    """One camera repeats its present picture for a while."""

    def apply(self, scene: CameraScene, rng: np.random.Generator) -> None:
        """Freezes the camera from this tick on."""
        scene.freeze_camera(self.camera, self.duration_s)


for _camera in CAMERAS:
    register_preset(f"freeze_{_camera}", FreezeCamera(_camera, 1.0, trigger=AtTime(2.0)))


class FrozenCameras:
    """The pictures of frozen cameras; a scene holds one and filters its observations through it."""

    def __init__(self) -> None:
        self._frozen: dict[str, tuple[int, Image]] = {}

    def freeze(self, camera: str, image: Image, *, now_ns: int, duration_s: float) -> None:
        """Repeats ``image`` (H, W, 3) in captures of ``camera`` from now on.

        A camera that is frozen already keeps its older picture, and thaws at the later end.

        Args:
            camera: Name of the camera.
            image: Its picture at ``now_ns``.
            now_ns: Present time [ns].
            duration_s: How long [s].
        """
        until_ns = now_ns + seconds_to_ns(duration_s)
        before_ns, old = self._frozen.get(camera, (now_ns, image))
        if before_ns > now_ns:
            self._frozen[camera] = (max(until_ns, before_ns), old)
        else:
            self._frozen[camera] = (until_ns, image.copy())

    def filter(self, images: Mapping[str, Image], now_ns: int) -> dict[str, Image]:
        """Pictures as delivered at ``now_ns`` [ns]; faults that are over are forgotten."""
        self._frozen = {name: f for name, f in self._frozen.items() if now_ns < f[0]}
        return {
            name: self._frozen[name][1].copy() if name in self._frozen else image
            for name, image in images.items()
        }

    def snapshot(self) -> Any:
        """State to continue from later; treat as opaque."""
        return dict(self._frozen)

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self._frozen = dict(state)
