"""What faults do to the pictures of one camera on their way, beside freezing them.

In this order: a picture may be an older one (`delay_s`), get noise, be repeated by
`xr0_sim.perturb.signals.cameras.FrozenCameras`, and be dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS, CONTROL_HZ, tick_ns
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.runtime.clock import delay_ticks, seconds_to_ns

Image = NDArray[np.uint8]
SceneT = TypeVar("SceneT")
WHITE = 255.0


@dataclass(frozen=True)
class CameraFault(Event):
    """Base of faults of one camera that last a while.

    Attributes:
        camera: Name of the camera.
        duration_s: How long [s].
    """

    camera: str = CAMERAS[0]
    duration_s: float = 1.0

    def __post_init__(self) -> None:
        """Rejects unknown cameras and durations that are not positive."""
        if self.camera not in CAMERAS:
            raise unknown_name("camera", self.camera, CAMERAS)
        if not self.duration_s > 0:
            raise ConfigError(
                f"{type(self).__name__}.duration_s: expected finite seconds > 0, got "
                f"{self.duration_s}"
            )


@dataclass(frozen=True)
class PictureFault:
    """One fault as a scene takes it.

    Attributes:
        camera: Name of the camera.
        duration_s: How long [s].
        blank: Whether pictures are dropped.
        noise: Standard deviation of what is added [grey levels].
        delay_s: How late pictures are [s].
        seed: Of the noise.
    """

    camera: str
    duration_s: float
    blank: bool = False
    noise: float = 0.0
    delay_s: float = 0.0
    seed: int = 0

    def delay_ticks(self, control_hz: int = CONTROL_HZ) -> int:
        """The delay in whole ticks, begun ones counted."""
        return delay_ticks(seconds_to_ns(self.delay_s), control_hz)[1]


@dataclass(frozen=True)
class _Running(Generic[SceneT]):
    """A fault under way, since the tick of its first altered picture."""

    fault: PictureFault
    since: int

    def lasts(self, tick: int, control_hz: int) -> bool:
        end_ns = tick_ns(self.since, control_hz) + seconds_to_ns(self.fault.duration_s)
        return tick_ns(tick, control_hz) < end_ns


class PictureFaults(Generic[SceneT]):
    """Faults of an episode's cameras, and the scenes that late pictures are drawn from.

    Args:
        older: Ticks by which a picture may be old without a fault.
        control_hz: Control rate [Hz].
    """

    def __init__(self, older: int = 0, control_hz: int = CONTROL_HZ) -> None:
        self._older, self._control_hz = older, control_hz
        self._running: tuple[_Running[SceneT], ...] = ()
        self._scenes: dict[int, SceneT] = {}

    @property
    def any(self) -> bool:
        """Whether a fault was begun and not yet forgotten."""
        return bool(self._running)

    @property
    def delays(self) -> bool:
        """Whether scenes have to be kept."""
        return any(running.fault.delay_s for running in self._running)

    def begin(self, fault: PictureFault, tick: int, scenes: Mapping[int, SceneT]) -> None:
        """Alters the pictures of ``fault.camera`` from ``tick`` on; ``scenes`` are those known."""
        self._running = (*self._running, _Running(fault, tick))
        self._scenes = {**self._scenes, **scenes}

    def keep(self, tick: int, scene: SceneT) -> None:
        """Remembers the scene of a tick; forgets what no late picture will show any more."""
        hz = self._control_hz
        self._running = tuple(r for r in self._running if r.lasts(tick, hz))
        longest = max((r.fault.delay_ticks(hz) for r in self._running), default=0) + self._older
        kept = {k: old for k, old in self._scenes.items() if k >= tick - longest}
        self._scenes = {**kept, tick: scene} if self.delays else {}

    def source_tick(self, camera: str, tick: int) -> int:
        """Tick whose picture ``camera`` delivers at ``tick``."""
        late = [r for r in self._of(camera, tick) if r.fault.delay_s]
        ages = [max(r.since, tick - r.fault.delay_ticks(self._control_hz)) for r in late]
        return min(ages, default=tick)

    def scene_of(self, tick: int) -> SceneT | None:
        """What was kept for a tick; None if nothing was."""
        return self._scenes.get(tick)

    def noisy(self, camera: str, tick: int, image: Image) -> Image:
        """A picture (H, W, 3) that was taken in ``tick``, with the noise of its frame."""
        for running in self._of(camera, tick):
            fault = running.fault
            if fault.noise:
                rng = np.random.default_rng([fault.seed, tick])
                light = image + fault.noise * rng.standard_normal(image.shape)
                image = np.rint(light).clip(0.0, WHITE).astype(np.uint8)
        return image

    def dropped(self, images: Mapping[str, Image], tick: int) -> dict[str, Image]:
        """Pictures as delivered at ``tick``: black where they are dropped."""
        return {
            name: np.zeros_like(image)
            if any(r.fault.blank for r in self._of(name, tick))
            else image
            for name, image in images.items()
        }

    def _of(self, camera: str, tick: int) -> list[_Running[SceneT]]:
        known = [r for r in self._running if r.fault.camera == camera]
        return [r for r in known if r.lasts(tick, self._control_hz)]

    def snapshot(self) -> Any:
        """State to continue from later; treat as opaque."""
        return self._running, dict(self._scenes)

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self._running, scenes = state
        self._scenes = dict(scenes)
