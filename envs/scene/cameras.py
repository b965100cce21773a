"""The cameras of a scene: policy views, the video view, and what events do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.rendering import SceneRenderer
from xr0_sim.conventions import CAMERAS
from xr0_sim.perturb.signals.cameras import FrozenCameras
from xr0_sim.registry import look_up
from xr0_sim.rotations import quat_from_rotvec, quat_multiply

if TYPE_CHECKING:
    from envs.simulation import Simulation

MJ_CAMERAS = {"base": "base", "left_wrist": "left/wrist", "right_wrist": "right/wrist"}
"""Policy camera -> its name in the scene."""


class SceneCameras:
    """Pictures of one episode; renderers are made at the first one and never pickled.

    Args:
        simulation: The scene.
        image_size: Side of the square policy pictures [px].
        video_size: (height, width) of the video pictures [px].
    """

    def __init__(
        self, simulation: Simulation, image_size: int, video_size: tuple[int, int]
    ) -> None:
        self._simulation = simulation
        self._sizes = {"fast": (image_size, image_size), "pretty": video_size}
        self._renderers: dict[str, SceneRenderer] = {}
        self.frozen = FrozenCameras()

    def policy_images(self, now_ns: int) -> dict[str, NDArray[np.uint8]]:
        """The three policy views, (S, S, 3) uint8 each, camera faults applied."""
        self._update_poses()
        images = {name: self._draw("fast", MJ_CAMERAS[name]) for name in CAMERAS}
        return self.frozen.filter(images, now_ns)

    def video_image(self, camera: str | None = None) -> NDArray[np.uint8]:
        """A picture for films, (H, W, 3) uint8: of the whole scene, or by a policy camera."""
        name = "video" if camera is None else look_up("camera", camera, MJ_CAMERAS)
        self._update_poses()
        return self._draw("pretty", name)

    def freeze(self, camera: str, now_ns: int, duration_s: float) -> None:
        """Shows the present picture of `camera` for `duration_s`; see `FrozenCameras`."""
        look_up("camera", camera, MJ_CAMERAS)
        self._update_poses()
        image = self._draw("fast", MJ_CAMERAS[camera])
        self.frozen.freeze(camera, image, now_ns=now_ns, duration_s=duration_s)

    def knock(self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]) -> None:
        """Shifts [m] and turns [rad] a policy camera in its parent's frame."""
        model = self._simulation.model
        index = model.camera(look_up("camera", camera, MJ_CAMERAS)).id
        model.cam_pos[index] += shift
        model.cam_quat[index] = quat_multiply(quat_from_rotvec(rotvec), model.cam_quat[index])

    def close(self) -> None:
        """Frees the renderers; may be called more than once."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without GL contexts; they come back at the next picture."""
        return {**self.__dict__, "_renderers": {}}

    def _draw(self, quality: Literal["fast", "pretty"], camera: str) -> NDArray[np.uint8]:
        if quality not in self._renderers:
            height, width = self._sizes[quality]
            self._renderers[quality] = SceneRenderer(self._simulation.model, height, width, quality)
        return self._renderers[quality].draw(self._simulation.data, camera)

    def _update_poses(self) -> None:
        mujoco.mj_comPos(self._simulation.model, self._simulation.data)
        mujoco.mj_camlight(self._simulation.model, self._simulation.data)
