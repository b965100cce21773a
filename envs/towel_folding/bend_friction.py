"""Internal friction of cloth in bending: what makes wrinkles stay.

Fabric that is bent and let go does not become flat again: its yarns rub on each other. A bending
tester draws that as a loop, M = B·κ ± HB, of the bending rigidity B, which the engine has, and half
the hysteresis, HB. Here every triangle carries, beside the engine's elastic moment, a friction
moment that grows with the change of its curvature and is capped at HB: a spring that slips (T. J.
Lahey, G. R. Heppler, Mechanical Modeling of Fabrics in Bending, J. Appl. Mech. 71, 2004; E. Miguel
et al., Modeling and Estimation of Internal Friction in Cloth, ACM Trans. Graph. 32(6) 212, 2013,
with a smooth cap).

The curvature of a triangle is a symmetric tensor (xx, yy, √2 xy), read from the angles at its three
edges by the linear map that is exact for a gently and evenly bent towel; at the border, where an
angle is missing, it is the smallest tensor that fits. The cap is one on the tensor's norm: a cap
per edge would hold a bend three times as well in one direction as in another.

The engine's own yield of bends is no substitute: it is one for small angles. A bend of more than a
quarter turn never yields there, and is pushed open by up to 3.6 times the largest elastic one.

The angles at which the friction of a triangle is zero are the memory. They are kept in the user
data of the scene's state, so that snapshots, copies and twins have them, and a model never does.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.towel_folding.cloth import POISSON, SIDE, rest_grid, towel_dofs, triangles
from envs.towel_folding.material import ClothMaterial

THINNEST = 0.1
"""Share of a triangle's area at rest below which it counts as no thinner: where one collapses, its
normal means nothing."""


def hinges(grid: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges between two triangles, and those of every triangle.

    Returns:
        Both ends of an edge, then the far corners of either side, (k, 4); and the edges of every
        triangle, (t, 3), k where one lies on the border.
    """
    far: dict[tuple[int, int], tuple[int, int]] = {}
    ends: list[tuple[int, int, int, int]] = []
    faces = triangles(grid).tolist()
    edges: list[list[int]] = [[] for _ in faces]
    for face, (a, b, c) in enumerate(faces):
        for start, end, corner in ((a, b, c), (b, c, a), (c, a, b)):
            if (end, start) in far:  # the neighbour runs through the edge the other way
                other, neighbour = far[end, start]
                for owner in (face, neighbour):
                    edges[owner].append(len(ends))
                ends.append((end, start, other, corner))
            far[start, end] = corner, face
    return np.array(ends), np.array([(found + 3 * [len(ends)])[:3] for found in edges])


def memory_size(grid: int) -> int:
    """Numbers that the memory of a towel takes: three angles per triangle."""
    return 6 * (grid - 1) ** 2


class BendFriction:
    """The friction of the towel of one compiled scene; its memory lies in the scene's state.

    The spring that slips is stiff. So that the engine, which takes the elastic moments of a step
    from its end, takes this one from there, too, the towel is made as much stiffer as the spring
    is, and the difference to what slips is applied as a force.

    Args:
        model: The scene, with `memory_size` numbers of user data; its towel is made stiffer.
        grid: Mass points along a side.
        material: What the towel is made of.
    """

    def __init__(self, model: mujoco.MjModel, grid: int, material: ClothMaterial) -> None:
        self._ends, self._edges = hinges(grid)
        dofs = towel_dofs(model, grid)
        self._dofs = dofs.ravel()
        first = int(model.jnt_qposadr[model.dof_jntid[self._dofs[0]]])
        self._qpos = slice(first, first + dofs.size)
        self._flat = np.column_stack([rest_grid(grid), np.zeros(grid**2)])
        spacing = SIDE / (grid - 1)
        self._area = spacing**2 / 2.0
        self._thinnest = (2.0 * THINNEST * self._area) ** 2
        self._columns = (3 * self._ends.T[:, None] + np.arange(3)[:, None]).ravel()
        self._angles = _angles_of_curvature(self._flat, self._ends, self._edges)
        self._curvatures = np.linalg.pinv(self._angles)
        self._slip, self._limit = material.bend_slip, material.bend_friction
        stiffness = self._limit / self._slip
        self._ratio = stiffness / bending_rigidity(material)
        """Stiffness of the spring over that of the elastic towel [1]."""
        self._added = self._ratio * _stiffness_matrix(model, grid)
        model.flex_bending[:] *= 1.0 + self._ratio

    def forget(self, data: mujoco.MjData) -> None:
        """Makes a flat towel the one without friction, as after ironing."""
        data.userdata[:] = 0.0

    def apply(self, data: mujoco.MjData) -> None:
        """Sets the friction forces of the coming physics step, and what is remembered after it."""
        points = self._points(data)
        angle, slopes = bend(points, self._ends, self._thinnest)
        held, curvature = self._held(data, angle)
        size = np.linalg.norm(curvature, axis=1)
        slips = np.flatnonzero(size > self._slip)
        if slips.size:
            curvature[slips] *= (self._slip / size[slips])[:, None]
            left = np.einsum("tij,tj->ti", self._angles[slips], curvature[slips])
            memory = data.userdata.reshape(-1, 3)
            memory[slips] = _wrapped(memory[slips] + held[slips] - left)
        moments = self._limit / self._slip * self._area * curvature
        by_edge = np.einsum("tij,ti->tj", self._curvatures, moments)
        moment = np.bincount(self._edges.ravel(), by_edge.ravel(), minlength=len(self._ends) + 1)
        forces = slopes * -moment[:-1]
        force = np.bincount(self._columns, forces.ravel(), minlength=len(self._dofs))
        data.qfrc_applied[self._dofs] = force + (self._added @ points).ravel()

    def energy(self, data: mujoco.MjData) -> tuple[float, float]:
        """What the bent towel holds: elastic, and in springs that have not slipped [J]."""
        points = self._points(data)
        _, curvature = self._held(data, bend(points, self._ends, self._thinnest)[0])
        size = np.minimum(np.linalg.norm(curvature, axis=1), self._slip)
        elastic = 0.5 / self._ratio * float((points * (self._added @ points)).sum())
        return elastic, 0.5 * self._limit / self._slip * self._area * float((size**2).sum())

    def _held(
        self, data: mujoco.MjData, angle: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Angles (t, 3) [rad] and curvatures (t, 3) [1/m] beyond those that are remembered."""
        held = _wrapped(np.append(angle, 0.0)[self._edges] - data.userdata.reshape(-1, 3))
        curvature: NDArray[np.float64] = np.einsum("tij,tj->ti", self._curvatures, held)
        return held, curvature

    def _points(self, data: mujoco.MjData) -> NDArray[np.float64]:
        points: NDArray[np.float64] = data.qpos[self._qpos].reshape(-1, 3) + self._flat
        return points


def bending_rigidity(material: ClothMaterial) -> float:
    """Of the engine's shell, B = E·t³ / 12 (1 - ν²) [N·m]."""
    return material.young * material.thickness**3 / 12.0 / (1.0 - POISSON**2)


def _angles_of_curvature(
    flat: NDArray[np.float64], ends: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Angles at a triangle's edges for each curvature of a gently bent towel, (t, 3, 3) [m].

    They are zero on the border.
    """
    x, y = flat[:, 0], flat[:, 1]
    heights = np.stack([x**2, y**2, math.sqrt(2.0) * x * y]) / 2.0
    _, slopes = bend(flat, ends)
    angles = np.einsum("ck,hkc->kh", slopes[:, 2], heights[:, ends])
    found: NDArray[np.float64] = np.vstack([angles, np.zeros(3)])[edges]
    return found


def _stiffness_matrix(model: mujoco.MjModel, grid: int) -> NDArray[np.float64]:
    """The engine's elastic bending: forces are minus this times the points, (n, n) [N/m]."""
    corners = np.column_stack([model.flex_edge, model.flex_edgeflap])
    # Per edge: 4 by 4 stiffnesses of its ends and far corners, and one number for curved cloth.
    parts = model.flex_bending.reshape(len(corners), -1)[:, :16].reshape(-1, 4, 4)
    inside = (corners >= 0).all(axis=1)
    whole = np.zeros((grid**2, grid**2))
    rows, columns = corners[inside][:, :, None], corners[inside][:, None, :]
    np.add.at(whole, (rows, columns), parts[inside])
    return whole


def bend(
    points: NDArray[np.float64], ends: NDArray[np.int64], thinnest: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of edges between two triangles, and how they change with the points.

    Args:
        points: Mass points (n, 3) [m].
        ends: As of `hinges`, (k, 4).
        thinnest: Least square of twice a triangle's area that counts [m⁴].

    Returns:
        Angles (k,) [rad], 0 where both lie in a plane, and their gradients (4, 3, k) [rad/m].
    """
    # Coordinates come first throughout: (3, k).
    first, second, left, right = (points[column].T for column in ends.T)
    edge, to_left, to_right = second - first, left - first, right - first
    normal_left, normal_right = _cross(edge, to_left), _cross(to_right, edge)
    squared = _dot(edge, edge)
    length = np.sqrt(squared)
    sine = _dot(_cross(normal_left, normal_right), edge) / length
    angle = np.arctan2(sine, _dot(normal_left, normal_right))
    slopes = np.empty((4, *edge.shape))
    by_first, by_second, by_left, by_right = slopes
    by_left[:] = normal_left * (-length / np.maximum(_dot(normal_left, normal_left), thinnest))
    by_right[:] = normal_right * (-length / np.maximum(_dot(normal_right, normal_right), thinnest))
    by_second[:] = -by_left * (_dot(to_left, edge) / squared)
    by_second -= by_right * (_dot(to_right, edge) / squared)
    by_first[:] = -by_left - by_right - by_second
    return angle, slopes


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    product: NDArray[np.float64] = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return product


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.empty(a.shape)
    np.subtract(a[1] * b[2], a[2] * b[1], out=out[0])
    np.subtract(a[2] * b[0], a[0] * b[2], out=out[1])
    np.subtract(a[0] * b[1], a[1] * b[0], out=out[2])
    return out


def _wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles [rad] within half a turn to either side."""
    wrapped: NDArray[np.float64] = (angle + math.pi) % (2.0 * math.pi) - math.pi
    return wrapped
