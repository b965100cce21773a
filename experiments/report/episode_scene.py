"""The moving shapes of an episode as text that a page can hold."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

STEP_M = 1e-4
"""Positions are whole numbers of this [m]; 16 bits reach 3.2 m."""
STEP_QUAT = 1.0 / 32000
CLOTH_COLOUR = (0.55, 0.68, 0.86)
"""Where a scene does not tell; chosen."""


class Moving(Protocol):
    """What moves, see `experiments.runner.motion_again.Motion`."""

    @property
    def shapes(self) -> Sequence[Any]:
        """Pieces of geometry."""

    @property
    def poses(self) -> NDArray[np.float32]:
        """(T, bodies, 7)."""

    @property
    def cloth(self) -> NDArray[np.float32]:
        """(T, points, 3)."""

    @property
    def triangles(self) -> NDArray[np.int32]:
        """(n, 3)."""


def scene_data(motion: Moving) -> dict[str, Any]:
    """JSON values of one episode's motion.

    Poses and mass points are differences between ticks as 16-bit numbers, zipped: a tenth of what
    plain numbers take. Wide planes end at 2 m, where nobody looks.
    """
    positions = np.rint(motion.poses[..., :3].clip(-3.2, 3.2) / STEP_M)
    turns = np.rint(_continuous(motion.poses[..., 3:]) / STEP_QUAT)
    poses = np.concatenate([positions, turns], -1)
    cloth = np.rint(motion.cloth.clip(-3.2, 3.2) / STEP_M)
    return {
        "ticks": len(poses),
        "bodies": poses.shape[1],
        "points": cloth.shape[1],
        "poses": _packed(poses),
        "cloth": _packed(cloth),
        "triangles": motion.triangles.ravel().tolist(),
        **shape_data(motion.shapes),
        "stepM": STEP_M,
        "stepQuat": STEP_QUAT,
    }


def shape_data(shapes: Sequence[Any]) -> dict[str, Any]:
    """JSON values of what is drawn, see `envs.scene.shapes.Shape`."""
    return {"clothColour": CLOTH_COLOUR, "shapes": [_shape(shape) for shape in shapes]}


def _shape(shape: Any) -> Mapping[str, Any]:
    size = [min(s or 2.0, 2.0) if shape.kind == "plane" else s for s in shape.size]
    return {
        "body": shape.body,
        "kind": shape.kind,
        "size": [round(s, 5) for s in size],
        "pos": [round(x, 5) for x in shape.pos],
        "quat": [round(x, 5) for x in shape.quat],
        "rgb": [round(x, 3) for x in shape.rgba[:3]],
    }


def _continuous(quats: NDArray[np.float32]) -> NDArray[np.float32]:
    """Quaternions (T, B, 4) whose sign never jumps, so that their differences stay small."""
    dots = (quats[1:] * quats[:-1]).sum(-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return np.concatenate([quats[:1], quats[1:] * signs])


def _packed(values: NDArray[np.float64]) -> str:
    whole = values.reshape(len(values), -1).astype("<i2")
    steps = np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))
    return base64.b64encode(gzip.compress(steps.tobytes(), mtime=0)).decode()
