"""What the towel looks like: skins over its mass points, a printed and a plain side.

World 0.1 draws the mesh of mass points as it is, on either side. From world 0.2 on a finer surface
goes smoothly through them and stands off the middle of the cloth by half the distance that layers
keep in the physics; the print goes round the hem, so that the edge is as thick as it feels::

     print   .-----------------------------.
            (  ·     ·     ·     ·     ·    )   hem: belongs to the print
     plain   '-.=========================.-'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import LAYER_DISTANCE, NAME, RADIUS, SIDE, rest_grid, triangles

Drawing = Literal["0.1", "thick"]

PRINT = {
    "ground": (0.86, 0.30, 0.24),
    "stripe": (0.98, 0.90, 0.72),
    "border": (0.16, 0.24, 0.46),
}
"""Colours of the printed side."""
PLAIN = (0.93, 0.92, 0.88)
"""Colour of the other side."""
BRIGHTNESS = 0.68
"""Share of its colours a towel is drawn with from world 0.2 on: the lights add up to 1.4 on what
lies flat, and white cloth came out without any shading."""


@dataclass(frozen=True)
class _Surface:
    """A skin before it is inflated.

    Attributes:
        vert: (k, 3) places in the flat towel [m].
        face: (f, 3) triangles.
        weights: (k, grid²) share of every mass point in a vertex.
    """

    vert: NDArray[np.float64]
    face: NDArray[np.int64]
    weights: NDArray[np.float64]


def add_skins(spec: mujoco.MjSpec, grid: int, drawing: Drawing) -> None:
    """Adds both sides of a towel that lies flat at the origin.

    Args:
        spec: The scene, with the mass points as bodies.
        grid: Mass points along a side.
        drawing: How it is drawn.
    """
    thick = drawing == "thick"
    light = BRIGHTNESS if thick else 1.0
    picture = printed_pattern(light=light)
    texture = spec.add_texture(
        name="towel_print",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        width=picture.shape[1],
        height=picture.shape[0],
        nchannel=3,
    )
    texture.data = picture.tobytes()
    printed = spec.add_material(name="towel_print", specular=0.05, shininess=0.1)
    printed.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "towel_print"
    plain = [light * part for part in PLAIN]
    spec.add_material(name="towel_plain", rgba=[*plain, 1], specular=0.05, shininess=0.1)
    sides = _thick_sides(grid) if thick else _bare_sides(grid)
    inflate = LAYER_DISTANCE / 2 if thick else 0.0012
    for material, surface in zip(("towel_print", "towel_plain"), sides, strict=True):
        _add_skin(spec, material, surface, inflate)


def _add_skin(spec: mujoco.MjSpec, material: str, surface: _Surface, inflate: float) -> None:
    points = rest_grid(round(surface.weights.shape[1] ** 0.5))
    carried = [np.flatnonzero(share) for share in surface.weights.T]
    used = [index for index, vertices in enumerate(carried) if len(vertices)]
    spec.add_skin(
        name=material,
        material=material,
        inflate=inflate,
        vert=surface.vert.ravel().tolist(),
        texcoord=(surface.vert[:, :2] / SIDE + 0.5).ravel().tolist(),
        face=surface.face.ravel().tolist(),
        bodyname=[f"{NAME}_{index}" for index in used],
        bindpos=np.column_stack([points, np.full(len(points), RADIUS)])[used].ravel().tolist(),
        bindquat=[1.0, 0.0, 0.0, 0.0] * len(used),
        vertid=[carried[index].tolist() for index in used],
        vertweight=[surface.weights[carried[index], index].tolist() for index in used],
    )


def _bare_sides(grid: int) -> tuple[_Surface, _Surface]:
    """The mesh of mass points, seen from above and from below."""
    points, faces = rest_grid(grid), triangles(grid)
    vert = np.column_stack([points, np.full(len(points), RADIUS)])
    each = np.eye(len(points))
    return _Surface(vert, faces, each), _Surface(vert, faces[:, ::-1], each)


def _thick_sides(grid: int) -> tuple[_Surface, _Surface]:
    """A finer surface: the printed side with the hem, which meets the plain side below."""
    lines = np.arange(2 * grid - 1) / 2
    k = len(lines)
    along = _interpolation(lines, grid)
    weights = np.einsum("ai,bj->abij", along, along).reshape(k * k, grid * grid)
    places = lines / (grid - 1) * SIDE - SIDE / 2
    flat = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    vert = np.column_stack([flat, np.full(len(flat), RADIUS)])
    top = _halved_faces(grid)
    below = top[:, ::-1]
    row, column = np.divmod(np.arange(k * k), k)
    outer = (np.minimum(row, column) == 0) | (np.maximum(row, column) == k - 1)
    at_hem = outer[below].any(axis=1)
    # The underside of the hem has points of its own, which are inflated the other way; between the
    # two rims, which coincide until then, stands the edge.
    first = _border(k)
    second = np.roll(first, -1)
    edge = [(first, first + k * k, second + k * k), (first, second + k * k, second)]
    faces = [top, below[at_hem] + k * k, *(np.stack(part, axis=1) for part in edge)]
    twice = np.concatenate([vert, vert]), np.concatenate([weights, weights])
    return _surface(*twice, np.concatenate(faces)), _surface(vert, weights, below[~at_hem])


def _surface(
    vert: NDArray[np.float64], weights: NDArray[np.float64], face: NDArray[np.int64]
) -> _Surface:
    """A surface of those points only that its faces have."""
    used, number = np.unique(face, return_inverse=True)
    return _Surface(vert[used], number.reshape(face.shape), weights[used])


def _halved_faces(grid: int) -> NDArray[np.int64]:
    """Faces over the mass points and the middles between them, counter-clockwise.

    A cell has eight triangles around its middle at the border and six without it elsewhere.
    """
    k = 2 * grid - 1
    i, j = (2 * part + 1 for part in np.divmod(np.arange((grid - 1) ** 2), grid - 1))
    middle = i * k + j
    round_it = (-k - 1, -1, k - 1, k, k + 1, 1, 1 - k, -k)
    at = [middle + step for step in round_it]
    border = (np.minimum(i, j) == 1) | (np.maximum(i, j) == k - 2)
    fans = [(middle, at[n], at[(n + 1) % 8]) for n in range(8)]
    tips = [(at[n], at[n + 1], at[n - 1]) for n in (0, 2, 4, 6)]
    inner = [(at[1], at[3], at[5]), (at[1], at[5], at[7])]
    parts = [np.stack(part, axis=1)[border] for part in fans]
    parts += [np.stack(part, axis=1)[~border] for part in (*tips, *inner)]
    return np.concatenate(parts)


def _border(k: int) -> NDArray[np.int64]:
    """Points of a (k, k) grid along its border, counter-clockwise seen from the printed side."""
    line = np.arange(k - 1)
    near, right = line * k, (k - 1) * k + line
    return np.concatenate([near, right, k * k - 1 - near, k - 1 - line])


def _interpolation(lines: NDArray[np.float64], grid: int) -> NDArray[np.float64]:
    """Weights (k, grid) of equidistant values at places (k,) between them: a Catmull-Rom spline.

    Beyond either end the values go on in a straight line.
    """
    weights = np.zeros((len(lines), grid + 2))
    cell = np.minimum(np.floor(lines).astype(int), grid - 2)
    t = lines - cell
    parts = (
        -0.5 * t + t**2 - 0.5 * t**3,
        1.0 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2.0 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )
    for offset, part in enumerate(parts):
        weights[np.arange(len(lines)), cell + offset] = part
    inner = weights[:, 1:-1].copy()
    for ghost, end, step in ((weights[:, 0], 0, 1), (weights[:, -1], grid - 1, -1)):
        inner[:, end] += 2.0 * ghost
        inner[:, end + step] -= ghost
    inner[np.abs(inner) < 1e-12] = 0.0
    return inner


def printed_pattern(size: int = 128, light: float = 1.0) -> NDArray[np.uint8]:
    """Picture of the printed side, (size, size, 3): a border, stripes, and a dot in one corner.

    Args:
        size: Side [px].
        light: Share of the colours it has.
    """
    line = (np.arange(size) + 0.5) / size - 0.5
    row, column = np.meshgrid(line, line, indexing="ij")
    picture = np.empty((size, size, 3))
    picture[:] = PRINT["ground"]
    picture[(np.floor((column + 0.5) * 12) % 3) == 1] = PRINT["stripe"]
    picture[np.maximum(abs(row), abs(column)) > 0.44] = PRINT["border"]
    picture[np.hypot(row - 0.30, column - 0.30) < 0.08] = PRINT["border"]
    return np.round(255 * light * picture).astype(np.uint8)
