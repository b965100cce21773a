"""The sides of cylinders that face a camera, as OpenGL display lists.

MuJoCo hands every side of a cylinder to the renderer, which throws away those that face away. On a
processor the throwing away is dear: there are 1,700 triangles. Those drawn here have the
corners that MuJoCo gives them (``src/render/classic/render_context.c``), bit for bit, so that the
pictures stay the same.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

CYLINDER = int(mujoco.mjtGeom.mjGEOM_CYLINDER)
GRAZING = 1e-3
"""A side seen at a flatter angle is drawn [half sizes]; well above single precision."""
PLUS, MINUS = 1, 2
"""Which end is seen; 0 for neither."""


def cylinder_code(x: float, y: float, z: float, turn: float) -> int:
    """Which sides of a cylinder are seen.

    Args:
        x: Of the camera in the cylinder's frame, in half sizes.
        y: As x.
        z: As x.
        turn: Angle of a facet round the axis [rad].

    Returns:
        end · (facets + 1) + first facet; the last facet number stands for none.
    """
    facets = round(math.tau / turn)
    if math.hypot(x, y) < math.cos(turn / 2) - GRAZING:
        return _end(z) * (facets + 1) + facets
    # A facet is seen if its middle is within a quarter turn.
    return _end(z) * (facets + 1) + math.floor((math.atan2(y, x) - math.pi / 2) / turn) % facets


def _end(place: float) -> int:
    return PLUS if place > 1 - GRAZING else MINUS if place < GRAZING - 1 else 0


class FacingSides:
    """Display lists of what is seen of cylinders; made when first asked for.

    All calls need the context of the lists to be current; they go with it.

    Args:
        model: The scene.
        first_mesh: Number of MuJoCo's display list of mesh 0.
    """

    def __init__(self, model: mujoco.MjModel, first_mesh: int) -> None:
        from OpenGL import GL  # type: ignore[import-untyped]

        quality = model.vis.quality
        self._slices = int(quality.numslices)
        self._gl: Any = GL
        self._first = first_mesh
        self._round = _cylinder(self._slices, int(quality.numstacks))
        self._shapes: dict[int, int] = {}
        self._sized: dict[tuple[int, tuple[float, ...]], int] = {}

    def mesh(self, code: int, size: tuple[float, ...]) -> int:
        """Number of the mesh that shows the seen sides of a cylinder of some half sizes [m]."""
        key = code, size
        if key not in self._sized:
            gl, shape = self._gl, self._shape(code)
            self._sized[key] = made = gl.glGenLists(1)
            gl.glNewList(made, gl.GL_COMPILE)
            gl.glScalef(*size)
            gl.glCallList(shape)
            gl.glEndList()
        return self._sized[key] - self._first

    def _shape(self, code: int) -> int:
        if code not in self._shapes:
            gl = self._gl
            self._shapes[code] = made = gl.glGenLists(1)
            # MuJoCo leaves a buffer bound, into which the pointers would lead.
            gl.glBindBuffer(gl.GL_ARRAY_BUFFER, 0)
            gl.glNewList(made, gl.GL_COMPILE)
            for corners in self._seen(code):
                # Pointers are read while the list is made.
                flat = np.ascontiguousarray(corners.reshape(-1, 6), np.float32)
                if not len(flat):
                    continue
                gl.glInterleavedArrays(gl.GL_N3F_V3F, 0, flat)
                mode = gl.GL_QUADS if corners.shape[-2] == 4 else gl.GL_TRIANGLES
                gl.glDrawArrays(mode, 0, len(flat))
            gl.glEndList()
            for state in (gl.GL_VERTEX_ARRAY, gl.GL_NORMAL_ARRAY):
                gl.glDisableClientState(state)
        return self._shapes[code]

    def _seen(self, code: int) -> list[NDArray[np.float32]]:
        end, first = divmod(code, self._slices + 1)
        bottom, side, top = self._round
        parts = list(bottom) if end == MINUS else []
        if first < self._slices:
            seen = (np.arange(self._slices) - first) % self._slices <= self._slices // 2
            parts.append(side[:, seen])
        return parts + (list(top) if end == PLUS else [])


Disk = tuple[NDArray[np.float32], NDArray[np.float32]]


def _cylinder(slices: int, stacks: int) -> tuple[Disk, NDArray[np.float32], Disk]:
    """Normals and corners of a unit cylinder: bottom, (stacks, slices, 4, 6) of the side, top."""
    one = np.float32(1)
    turns = np.array([2.0 * np.pi * j / slices for j in range(slices + 1)]).astype(np.float32)
    x, y = _single("cosf", turns), _single("sinf", turns)
    length = np.sqrt(x * x + y * y)
    side = np.zeros((stacks, slices, 4, 6), np.float32)
    for i in range(stacks):
        low, high = (np.float32(2 * k) / np.float32(stacks) - one for k in (i, i + 1))
        for place, (shift, height) in enumerate(((0, low), (1, low), (1, high), (0, high))):
            at = slice(shift, shift + slices)
            side[i, :, place, 0], side[i, :, place, 1] = (x / length)[at], (y / length)[at]
            side[i, :, place, 3], side[i, :, place, 4] = x[at], y[at]
            side[i, :, place, 5] = height
    return _disk(-1, x, y, stacks // 2), side, _disk(1, x, y, stacks // 2)


def _disk(sign: int, x: NDArray[np.float32], y: NDArray[np.float32], rings: int) -> Disk:
    """Normals and corners of an end of a cylinder: (slices, 3, 6) and (rings - 1, slices, 4, 6)."""
    slices = len(x) - 1
    inner = np.zeros((slices, 3, 6), np.float32)
    outer = np.zeros((rings - 1, slices, 4, 6), np.float32)

    def put(corners: NDArray[np.float32], shift: int, radius: np.float32) -> None:
        corners[:, 3] = x[shift : shift + slices] * radius
        corners[:, 4] = y[shift : shift + slices] * radius

    radius = [np.float32(i) / np.float32(rings) for i in range(rings + 1)]
    for shift in (0, 1):
        put(inner[:, shift], shift, np.float32(1) / np.float32(rings))
    for i in range(rings - 1):
        for place, (shift, ring) in enumerate(((0, i + 2), (1, i + 2), (1, i + 1), (0, i + 1))):
            put(outer[i, :, place], shift, radius[ring])
    for part in (inner, outer):
        part[..., 2] = part[..., 5] = sign
    turn = 1 if sign > 0 else -1
    return inner[:, ::turn], outer[:, :, ::turn]


def _single(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A function of the C library in single precision, as MuJoCo calls it."""
    library = ctypes.CDLL(None)  # what the interpreter itself is linked to
    function: Callable[[float], float] = getattr(library, name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]  # type: ignore[attr-defined]
    return np.array([function(float(value)) for value in values], np.float32)
