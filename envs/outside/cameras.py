"""The cameras of a simulator in another process, and what events do to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import tick_ns
from xr0_sim.errors import PlantLostError, unknown_name
from xr0_sim.perturb.signals.cameras import FrozenCameras
from xr0_sim.perturb.signals.pictures import PictureFault, PictureFaults

Image = NDArray[np.uint8]
Images = dict[str, Image]


class OutsideCameras:
    """Pictures of one episode.

    Args:
        draw: Draws cameras at a size: (names, height, width) -> name -> picture.
        names: Policy cameras.
        side: Side of the square policy pictures [px].
        control_hz: Control rate [Hz].
    """

    def __init__(
        self,
        draw: Callable[[Sequence[str], int, int], Mapping[str, Any]],
        names: tuple[str, ...],
        side: int,
        control_hz: int,
    ) -> None:
        self._draw, self._names = draw, names
        self._side, self._control_hz = side, control_hz
        self._drawn: Images = {}
        self.frozen = FrozenCameras()
        self.faults: PictureFaults[Images] = PictureFaults(control_hz=control_hz)

    def policy_images(self, tick: int) -> Images:
        """The policy's views at `tick`, (S, S, 3) uint8 each, as perceived."""
        images = {name: self._frame(name, tick) for name in self._names}
        images = self.frozen.filter(images, tick_ns(tick, self._control_hz))
        return self.faults.dropped(images, tick) if self.faults.any else images

    def picture(self, camera: str, height: int, width: int) -> Image:
        """One camera as it is, (height, width, 3) uint8."""
        return _checked(self._draw([camera], height, width), camera, (height, width, 3))

    def moved(self, tick: int) -> None:
        """Forgets the present pictures, since the scene is another one now."""
        self._drawn = {}
        if self.faults.any:
            self.faults.keep(tick, self._now() if self.faults.delays else {})

    def alter(self, fault: PictureFault, tick: int) -> None:
        """Begins a fault of one camera; see `PictureFaults`."""
        self._check(fault.camera)
        self.faults.begin(fault, tick, {})
        self.faults.keep(tick, self._now() if self.faults.delays else {})

    def freeze(self, camera: str, tick: int, duration_s: float) -> None:
        """Shows the picture of `camera` at `tick` for `duration_s`; see `FrozenCameras`."""
        self._check(camera)
        now_ns = tick_ns(tick, self._control_hz)
        self.frozen.freeze(camera, self._frame(camera, tick), now_ns=now_ns, duration_s=duration_s)

    def snapshot(self) -> Any:
        """State of the faults to continue from later; treat as opaque."""
        return self.frozen.snapshot(), self.faults.snapshot()

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self._drawn = {}
        self.frozen.restore(state[0])
        self.faults.restore(state[1])

    def _check(self, camera: str) -> None:
        if camera not in self._names:
            raise unknown_name("camera", camera, self._names)

    def _frame(self, camera: str, tick: int) -> Image:
        sent = self.faults.source_tick(camera, tick)
        kept = None if sent == tick else self.faults.scene_of(sent)
        return self.faults.noisy(camera, sent, (kept or self._now())[camera])

    def _now(self) -> Images:
        if not self._drawn:
            side = self._side
            drawn = self._draw(list(self._names), side, side)
            self._drawn = {name: _checked(drawn, name, (side, side, 3)) for name in self._names}
        return self._drawn


def _checked(drawn: Mapping[str, Any], camera: str, shape: tuple[int, ...]) -> Image:
    picture = drawn.get(camera)
    if not isinstance(picture, np.ndarray) or picture.shape != shape or picture.dtype != np.uint8:
        raise PlantLostError(f"simulator: expected a picture {shape} uint8 of {camera}")
    return picture
