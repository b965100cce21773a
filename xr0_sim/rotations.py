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
    if a.ndim == b.ndim == 1:
        # Plain numbers give the same bits, ten times as fast.
        (aw, ax, ay, az), (bw, bx, by, bz) = a.tolist(), b.tolist()
        return np.array(
            [
                aw * bw - ax * bx - ay * by - az * bz,
                aw * bx + ax * bw + ay * bz - az * by,
                aw * by - ax * bz + ay * bw + az * bx,
                aw * bz + ax * by - ay * bx + az * bw,
            ]
        )
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    out[..., 0] = aw * bw - ax * bx - ay * by - az * bz
    out[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return out


def quat_rotate(quat: ArrayLike, vector: ArrayLike) -> NDArray[np.float64]:
    """Turns ``(..., 3)`` vectors by unit quaternions ``(..., 4)``."""
    q = np.asarray(quat, dtype=np.float64)
    v = np.asarray(vector, dtype=np.float64)
    if q.ndim == v.ndim == 1:
        (w, x, y, z), (vx, vy, vz) = q.tolist(), v.tolist()
        tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
        return np.array(
            [
                vx + w * tx + y * tz - z * ty,
                vy + w * ty + z * tx - x * tz,
                vz + w * tz + x * ty - y * tx,
            ]
        )
    out = np.empty((*np.broadcast_shapes(q.shape[:-1], v.shape[:-1]), 3))
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    vx, vy, vz = v[..., 0], v[..., 1], v[..., 2]
    # v + w t + axis x t with t = 2 axis x v, written out: np.cross costs ten times as much here.
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    out[..., 0] = vx + w * tx + y * tz - z * ty
    out[..., 1] = vy + w * ty + z * tx - x * tz
    out[..., 2] = vz + w * tz + x * ty - y * tx
    return out


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
