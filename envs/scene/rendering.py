"""Pictures of a MuJoCo scene in two qualities: ``fast`` for observations, ``pretty`` for videos.

Shadows and anti-aliasing cost 20 times the rest on a CPU renderer, so observations do without. One
renderer per process and resolution, created at the first picture and never pickled.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.gl import INSTALL_HINT
from xr0_sim.errors import RenderError

HIDDEN_GROUPS = (3, 4)
"""Geom groups never drawn: collision shapes and sites."""


@dataclass(frozen=True)
class Quality:
    """MSAA samples, shadow-map size [px] (0 = no shadows), whether round shapes are drawn round."""

    samples: int
    shadow: int
    round: bool


QUALITIES = {"fast": Quality(0, 0, False), "pretty": Quality(4, 1024, True)}
ROUND = (28, 16)
"""Slices and stacks of round shapes; a scene may ask for fewer in its observations."""


class SceneRenderer:
    """Draws one model at one size; recreate it when the model changes."""

    def __init__(
        self,
        model: mujoco.MjModel,
        height: int,
        width: int,
        quality: Literal["fast", "pretty"] = "fast",
    ):
        if os.environ.get("MUJOCO_GL", "").lower() in ("disable", "disabled", "off", "0"):
            raise RenderError(
                "no OpenGL backend: expected EGL or OSMesa, found neither; install one "
                f"({INSTALL_HINT}) or use observation='state'"
            )
        self._settings = QUALITIES[quality]
        drawn = model.vis.quality
        saved = drawn.offsamples, drawn.shadowsize, drawn.numslices, drawn.numstacks
        drawn.offsamples, drawn.shadowsize = self._settings.samples, self._settings.shadow
        if self._settings.round:
            drawn.numslices, drawn.numstacks = ROUND
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:
            chosen = os.environ.get("MUJOCO_GL", "")
            cure = (
                f"install a software renderer ({INSTALL_HINT}) or use observation='state'"
                if chosen
                else "import envs before mujoco, or set MUJOCO_GL=egl before python starts"
            )
            raise RenderError(f"MUJOCO_GL={chosen!r} gives no picture ({error}); {cure}") from error
        finally:
            drawn.offsamples, drawn.shadowsize, drawn.numslices, drawn.numstacks = saved
        self._option = mujoco.MjvOption()
        for group in HIDDEN_GROUPS:
            self._option.geomgroup[group] = 0
            self._option.sitegroup[group] = 0
        self._option.sitegroup[:] = 0

    def draw(self, data: mujoco.MjData, camera: str) -> NDArray[np.uint8]:
        """Picture of a named camera, (H, W, 3) uint8."""
        renderer = self._renderer
        renderer.update_scene(data, camera, self._option)
        flags = renderer.scene.flags
        flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = self._settings.shadow > 0
        flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = 0
        return renderer.render()

    def close(self) -> None:
        """Frees the GL context; may be called more than once."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
