"""Unit quaternions (wxyz) and rotation vectors, vectorised over leading axes.

Every function takes arrays ``(..., 4)`` or ``(..., 3)`` and broadcasts the leading axes. A rotation
vector is axis times angle [rad]; the returned angle never exceeds pi.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALL_ANGLE = 1e-8
"""Below this [rad] the quotient sin(a/2)/a is replaced by its limit."""


def quat_normalize(quat: ArrayLike) -> NDArray[np.float64]:
    """Scales to unit norm, ``(..., 4)``."""
    q = np.asarray(quat, dtype=np.float64)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def quat_conjugate(quat: ArrayLike) -> NDArray[np.float64]:
    """Inverse of a unit quaternion, ``(..., 4)``."""
    return np.asarray(quat, dtype=np.float64) * np.array([1.0, -1.0, -1.0, -1.0])


def quat_multiply(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Hamilton product: ``right`` is applied first, then ``left``; ``(..., 4)``."""
    a = np.asarray(left, dtype=np.float64)
    b = np.asarray(right, dtype=np.float64)
    scalar_a, vector_a = a[..., :1], a[..., 1:]
    scalar_b, vector_b = b[..., :1], b[..., 1:]
    scalar = scalar_a * scalar_b - (vector_a * vector_b).sum(-1, keepdims=True)
    vector = scalar_a * vector_b + scalar_b * vector_a + np.cross(vector_a, vector_b)
    return np.concatenate([scalar, vector], axis=-1)


def quat_rotate(quat: ArrayLike, vector: ArrayLike) -> NDArray[np.float64]:
    """Turns ``(..., 3)`` vectors by unit quaternions ``(..., 4)``."""
    q = np.asarray(quat, dtype=np.float64)
    v = np.asarray(vector, dtype=np.float64)
    axis = q[..., 1:]
    twice_cross = 2.0 * np.cross(axis, v)
    return v + q[..., :1] * twice_cross + np.cross(axis, twice_cross)


def quat_from_rotvec(rotvec: ArrayLike) -> NDArray[np.float64]:
    """Exponential map, ``(..., 3)`` [rad] to ``(..., 4)``."""
    r = np.asarray(rotvec, dtype=np.float64)
    angle = np.linalg.norm(r, axis=-1, keepdims=True)
    small = angle < SMALL_ANGLE
    factor = np.where(small, 0.5, np.sin(0.5 * angle) / np.where(small, 1.0, angle))
    return np.concatenate([np.cos(0.5 * angle), factor * r], axis=-1)


def rotvec_from_quat(quat: ArrayLike) -> NDArray[np.float64]:
    """Logarithm map, ``(..., 4)`` to the shortest rotation vector ``(..., 3)`` [rad]."""
    q = np.asarray(quat, dtype=np.float64)
    q = np.where(q[..., :1] < 0.0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    small = sine < SMALL_ANGLE
    factor = np.where(small, 2.0, angle / np.where(small, 1.0, sine))
    return factor * q[..., 1:]


def rotation_angle(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Angle between two orientations [rad], ``(...)``, in 0..pi."""
    difference = quat_multiply(quat_conjugate(left), right)
    return np.linalg.norm(rotvec_from_quat(difference), axis=-1)
