"""Pictures of a MuJoCo scene in two qualities: ``fast`` for observations, ``pretty`` for videos.

Shadows and anti-aliasing cost 20 times the rest on a CPU renderer, so observations do without. A
context is current only while it draws: any thread may ask for the next picture.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.scene.facing import FacingSides
from envs.scene.gl import OFF, why_no_picture
from envs.scene.sight import Seen, Sight
from xr0_sim.errors import RenderError

HIDDEN_GROUPS = (3, 4)
"""Geom groups never drawn: collision shapes and sites."""
MOST_GEOMS = 10_000
EVERYTHING = int(mujoco.mjtCatBit.mjCAT_ALL)
GEOM = int(mujoco.mjtObj.mjOBJ_GEOM)
MESH = int(mujoco.mjtGeom.mjGEOM_MESH)
OPAQUE = 0.995
"""Alpha from which MuJoCo draws a geom without sorting it by distance."""
FONT = int(mujoco.mjtFontScale.mjFONTSCALE_150)


@dataclass(frozen=True)
class Quality:
    """MSAA samples, shadow-map size [px] (0 = no shadows), whether round shapes are drawn round."""

    samples: int
    shadow: int
    round: bool


QUALITIES = {"fast": Quality(0, 0, False), "pretty": Quality(4, 1024, True)}
ROUND = (28, 16)
"""Slices and stacks of round shapes; a scene may ask for fewer in its observations."""

_forked_after_a_picture = False
_abandoned: list[Any] = []
"""Contexts of a parent process; a forked child may neither use nor free them."""


class SceneRenderer:
    """Draws one model at one size; recreate it when the model changes.

    Args:
        model: The scene.
        height: Of the pictures [px].
        width: Of the pictures [px].
        quality: Key of `QUALITIES`.
        whole: Draw also what no camera can see; the pictures are the same, and dearer.

    Raises:
        RenderError: No OpenGL context can be made here.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        height: int,
        width: int,
        quality: Literal["fast", "pretty"] = "fast",
        *,
        whole: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._settings = QUALITIES[quality]
        self._gl: Any = None
        self._context: mujoco.MjrContext | None = None
        self._process = os.getpid()
        _refuse_after_fork()
        try:
            self._gl = _context_class()(width, height)
            with self._gl.as_current(), _drawn_with(model, self._settings, height, width):
                self._context = mujoco.MjrContext(model, FONT)
                buffer = int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN)
                mujoco.mjr_setBuffer(buffer, self._context)
        except Exception as error:
            self._gl = None
            raise why_no_picture(error) from error
        self._model = model
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=MOST_GEOMS)
        self._slots = self._scene.geoms
        self._option = mujoco.MjvOption()
        for group in HIDDEN_GROUPS:
            self._option.geomgroup[group] = 0
            self._option.sitegroup[group] = 0
        self._option.sitegroup[:] = 0
        # Out of the picture a geom still throws its shadow into it.
        whole = whole or self._settings.shadow > 0
        self._sight = None if whole else Sight(model, width / height, self._option.geomgroup)
        self._sides: FacingSides | None = None
        self._camera = mujoco.MjvCamera()
        self._camera.type = int(mujoco.mjtCamera.mjCAMERA_FIXED)

    def draw(self, data: mujoco.MjData, camera: str) -> NDArray[np.uint8]:
        """Picture of a named camera, (H, W, 3) uint8.

        Raises:
            RenderError: Another process or a lost context; the renderer can still be closed.
        """
        if self._process != os.getpid():
            _refuse_after_fork()
        if self._context is None:
            raise RenderError("picture: expected an open renderer, it was closed; reset first")
        self._camera.fixedcamid = self._model.camera(camera).id
        picture = np.empty((self._rect.height, self._rect.width, 3), np.uint8)
        with self._lock:
            seen = self._compose(data)
            try:
                with self._gl.as_current():
                    self._turn_to_sides(seen)
                    mujoco.mjr_render(self._rect, self._scene, self._context)
                    mujoco.mjr_readPixels(picture, None, self._rect, self._context)
            except Exception as error:
                raise RenderError(
                    f"picture: the OpenGL context cannot be used here ({type(error).__name__}); "
                    "draw from one thread at a time, and give every process an environment of "
                    "its own (start method 'spawn')"
                ) from error
        return picture[::-1].copy()

    def _compose(self, data: mujoco.MjData) -> Seen:
        """Puts into the scene what the camera can see, in MuJoCo's order."""
        camera, scene = self._camera.fixedcamid, self._scene
        hidden, seen = ([], {}) if self._sight is None else self._sight.look(data, camera)
        groups = self._model.geom_group
        kept = groups[hidden]
        groups[hidden] = HIDDEN_GROUPS[0]
        try:
            mujoco.mjv_updateScene(
                self._model, data, self._option, None, self._camera, EVERYTHING, scene
            )
        finally:
            groups[hidden] = kept
        scene.flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = self._settings.shadow > 0
        scene.flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = 0
        return seen

    def _turn_to_sides(self, seen: Seen) -> None:
        """Draws of cylinders the sides that are seen; the context must be current."""
        if not seen or self._context is None:
            return
        if self._sides is None:
            self._sides = FacingSides(self._model, self._context.baseMesh)
        for geom in self._slots[: self._scene.ngeom]:
            sides = seen.get(geom.objid)
            if sides is not None and geom.objtype == GEOM and geom.rgba[3] >= OPAQUE:
                geom.type, geom.dataid = MESH, self._sides.mesh(*sides)

    def close(self) -> None:
        """Frees the GL context; may be called more than once."""
        gl, context = self._gl, self._context
        self._gl = self._context = None
        if gl is None:
            return
        if self._process != os.getpid():
            _abandoned.extend((gl, context))
            return
        with self._lock:
            if context is not None:
                with gl.as_current():
                    context.free()
            gl.free()

    def __del__(self) -> None:
        """Frees what nobody closed, in the order OpenGL asks for."""
        # At the very end of the interpreter not even the module is there any more.
        if sys is not None and not sys.is_finalizing():
            self.close()


def _context_class() -> Any:
    """Class of OpenGL contexts; also right where MuJoCo was imported before a backend was chosen.

    Raises:
        RenderError: Pictures are switched off.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    if chosen in OFF:
        raise why_no_picture(RuntimeError("switched off"))
    if chosen == "egl":
        from mujoco.egl import GLContext
    elif chosen == "osmesa":
        from mujoco.osmesa import GLContext
    else:
        from mujoco.gl_context import GLContext
    return GLContext


@contextmanager
def _drawn_with(model: mujoco.MjModel, quality: Quality, height: int, width: int) -> Iterator[None]:
    """Settings that a context takes from the model when it is made."""
    drawn, buffer = model.vis.quality, model.vis.global_
    kept = drawn.offsamples, drawn.shadowsize, drawn.numslices, drawn.numstacks
    size = buffer.offheight, buffer.offwidth
    drawn.offsamples, drawn.shadowsize = quality.samples, quality.shadow
    buffer.offheight, buffer.offwidth = height, width
    if quality.round:
        drawn.numslices, drawn.numstacks = ROUND
    try:
        yield
    finally:
        drawn.offsamples, drawn.shadowsize, drawn.numslices, drawn.numstacks = kept
        buffer.offheight, buffer.offwidth = size


def _refuse_after_fork() -> None:
    if _forked_after_a_picture:
        raise RenderError(
            "picture: this process was forked after its parent had drawn pictures, where OpenGL "
            "hangs; start workers with the method 'spawn', or draw the first picture in the worker"
        )


def _note_fork() -> None:
    """In a forked child: remembers whether the parent's OpenGL was in use."""
    global _forked_after_a_picture
    egl = sys.modules.get("mujoco.egl")
    if getattr(egl, "EGL_DISPLAY", None) is not None:
        _forked_after_a_picture = True


os.register_at_fork(after_in_child=_note_fork)
