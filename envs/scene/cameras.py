"""The cameras of a scene: policy views, the video view, and what events do to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.rendering import SceneRenderer
from envs.snapshot import model_fields
from xr0_sim.conventions import CAMERAS, tick_ns
from xr0_sim.perturb.signals.cameras import FrozenCameras
from xr0_sim.perturb.signals.pictures import PictureFault, PictureFaults
from xr0_sim.registry import look_up
from xr0_sim.rotations import quat_from_rotvec, quat_multiply

if TYPE_CHECKING:
    from envs.senses.episode import EpisodeSenses
    from envs.simulation import Simulation

MJ_CAMERAS = {"base": "base", "left_wrist": "left/wrist", "right_wrist": "right/wrist"}
"""Policy camera -> its name in the scene."""


@dataclass(frozen=True)
class Glimpse:
    """All that a picture of one moment is drawn from.

    Attributes:
        qpos: Generalised positions.
        mocap: Poses of the bodies that are moved by hand, (n, 7).
        model: What events may have changed in the model.
    """

    qpos: NDArray[np.float64]
    mocap: NDArray[np.float64]
    model: dict[str, NDArray[np.float64]]


class SceneCameras:
    """Pictures of one episode; renderers are made at the first one and never pickled.

    Args:
        simulation: The scene.
        image_size: Side of the square policy pictures [px].
        video_size: (height, width) of the video pictures [px].
        senses: What becomes of the policy pictures.
    """

    def __init__(
        self,
        simulation: Simulation,
        image_size: int,
        video_size: tuple[int, int],
        senses: EpisodeSenses[Glimpse],
    ) -> None:
        self._simulation = simulation
        self._sizes = {"fast": (image_size, image_size), "pretty": video_size}
        self._renderers: dict[str, SceneRenderer] = {}
        self._past: mujoco.MjData | None = None
        self._senses = senses
        self.frozen = FrozenCameras()
        self.faults: PictureFaults[Glimpse] = PictureFaults(senses.frames, senses.control_hz)
        for name, drawn in senses.cameras.items():
            displace_camera(simulation.model, MJ_CAMERAS[name], drawn.shift, drawn.rotvec)

    def policy_images(self, tick: int) -> dict[str, NDArray[np.uint8]]:
        """The three policy views at `tick`, (S, S, 3) uint8 each, as perceived."""
        self._update_poses()
        images = {name: self._frame(name, tick) for name in CAMERAS}
        images = self.frozen.filter(images, tick_ns(tick, self._senses.control_hz))
        return self.faults.dropped(images, tick) if self.faults.any else images

    def keep(self, tick: int) -> None:
        """Remembers the present for pictures that arrive late."""
        if self._senses.senses.delays_pictures:
            self._senses.keep_scene(tick, self._glimpse())
        if self.faults.any:
            self.faults.keep(tick, self._glimpse())

    def alter(self, fault: PictureFault, tick: int) -> None:
        """Begins a fault of one camera; see `PictureFaults`."""
        self.faults.begin(fault, tick, self._senses.scenes)
        self.faults.keep(tick, self._glimpse())

    def _glimpse(self) -> Glimpse:
        data = self._simulation.data
        mocap = np.hstack([data.mocap_pos, data.mocap_quat])
        return Glimpse(data.qpos.copy(), mocap, model_fields(self._simulation.model))

    def video_image(self, camera: str | None = None) -> NDArray[np.uint8]:
        """A picture for films, (H, W, 3) uint8: of the whole scene, or by a policy camera."""
        name = "video" if camera is None else look_up("camera", camera, MJ_CAMERAS)
        self._update_poses()
        return self._draw("pretty", name)

    def freeze(self, camera: str, tick: int, duration_s: float) -> None:
        """Shows the picture of `camera` at `tick` for `duration_s`; see `FrozenCameras`."""
        look_up("camera", camera, MJ_CAMERAS)
        self._update_poses()
        image = self._frame(camera, tick)
        now_ns = tick_ns(tick, self._senses.control_hz)
        self.frozen.freeze(camera, image, now_ns=now_ns, duration_s=duration_s)

    def knock(self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]) -> None:
        """Shifts [m] and turns [rad] a policy camera in its parent's frame."""
        name = look_up("camera", camera, MJ_CAMERAS)
        displace_camera(self._simulation.model, name, shift, rotvec)

    def close(self) -> None:
        """Frees the renderers; may be called more than once."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without GL contexts; they come back at the next picture."""
        return {**self.__dict__, "_renderers": {}, "_past": None}

    def _frame(self, camera: str, tick: int) -> NDArray[np.uint8]:
        """The newest frame of a policy camera that has arrived; poses must be current."""
        sent = self.faults.source_tick(camera, tick)
        taken = self._senses.frame_tick(camera, sent)
        name = MJ_CAMERAS[camera]
        if taken == tick:
            image = self._draw("fast", name)
        else:
            with self._as_of(self._past_scene(taken)) as past:
                image = self._draw("fast", name, past)
        return self.faults.noisy(camera, sent, self._senses.develop(camera, taken, image))

    def _past_scene(self, taken: int) -> Glimpse:
        """The scene of a past frame."""
        kept = self.faults.scene_of(taken)
        return self._senses.scene_of(taken) if kept is None else kept

    @contextmanager
    def _as_of(self, glimpse: Glimpse) -> Iterator[mujoco.MjData]:
        """The scene as it was; afterwards the model is as before."""
        model = self._simulation.model
        if self._past is None:
            self._past = mujoco.MjData(model)
        past, present = self._past, model_fields(model)
        _set(model, glimpse.model)
        past.qpos[:] = glimpse.qpos
        past.mocap_pos[:], past.mocap_quat[:] = glimpse.mocap[:, :3], glimpse.mocap[:, 3:]
        mujoco.mj_kinematics(model, past)
        mujoco.mj_comPos(model, past)
        mujoco.mj_camlight(model, past)
        mujoco.mj_flex(model, past)
        try:
            yield past
        finally:
            _set(model, present)

    def _draw(
        self,
        quality: Literal["fast", "pretty"],
        camera: str,
        data: mujoco.MjData | None = None,
    ) -> NDArray[np.uint8]:
        if quality not in self._renderers:
            height, width = self._sizes[quality]
            self._renderers[quality] = SceneRenderer(self._simulation.model, height, width, quality)
        return self._renderers[quality].draw(data or self._simulation.data, camera)

    def _update_poses(self) -> None:
        mujoco.mj_comPos(self._simulation.model, self._simulation.data)
        mujoco.mj_camlight(self._simulation.model, self._simulation.data)


def displace_camera(
    model: mujoco.MjModel, name: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]
) -> None:
    """Shifts [m] and turns [rad] a camera of the model in its parent's frame."""
    if not shift.any() and not rotvec.any():
        return
    index = model.camera(name).id
    model.cam_pos[index] += shift
    model.cam_quat[index] = quat_multiply(quat_from_rotvec(rotvec), model.cam_quat[index])


def _set(model: mujoco.MjModel, fields: dict[str, NDArray[np.float64]]) -> None:
    for name, value in fields.items():
        getattr(model, name)[:] = value
