"""Ground truth of a block-dismantling scene: what the scripted expert and state-based RL see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PER_BRICK = 3 + 4 + 3 + 3 + 3
NO_BRICK = -1


@dataclass(frozen=True)
class BlockState:
    """Bricks in assembly order, n of them; arms left, right.

    Attributes:
        pos: (n, 3) brick centres, world [m].
        quat: (n, 4) orientations, world, wxyz.
        half_size: (n, 3) half extents of the bodies [m].
        target: (n,) bin index each brick belongs in (0 left, 1 right).
        sorted: (n,) bool, lies in its bin, released and at rest.
        in_bin: (n,) bin index the brick's centre is over, or -1.
        joined: (n, n) bool, ``joined[i, j]``: brick j stands clutched on brick i.
        gripped: (2,) brick between both pads of an arm, or -1.
        bins: (2, 2) tray centres, world x and y [m].
    """

    pos: NDArray[np.float64]
    quat: NDArray[np.float64]
    half_size: NDArray[np.float64]
    target: NDArray[np.int64]
    sorted: NDArray[np.bool_]
    in_bin: NDArray[np.int64]
    joined: NDArray[np.bool_]
    gripped: NDArray[np.int64]
    bins: NDArray[np.float64]

    def to_vector(self) -> NDArray[np.float32]:
        """Flat form of fixed length for n bricks; inverse of `from_vector`."""
        per_brick = [
            self.pos,
            self.quat,
            self.half_size,
            np.stack([self.target, self.sorted, self.in_bin], axis=1),
            np.zeros((len(self.pos), 3)),
        ]
        per_brick[-1][:, :2] = self.gripped[None, :] == np.arange(len(self.pos))[:, None]
        parts = [np.concatenate(per_brick, axis=1).ravel(), self.joined.ravel(), self.bins.ravel()]
        return np.concatenate(parts).astype(np.float32)

    @staticmethod
    def vector_dim(n_bricks: int) -> int:
        """Length of `to_vector` for n bricks."""
        return n_bricks * PER_BRICK + n_bricks**2 + 4

    @classmethod
    def from_vector(cls, vector: NDArray[np.floating], n_bricks: int) -> BlockState:
        """Reads `to_vector` back, up to float32 rounding."""
        values: NDArray[np.float64] = np.asarray(vector, dtype=np.float64)
        split = n_bricks * PER_BRICK
        rows = values[:split].reshape(n_bricks, PER_BRICK)
        held = rows[:, 13:15] > 0.5
        gripped = np.where(held.any(axis=0), held.argmax(axis=0), NO_BRICK)
        return cls(
            pos=rows[:, :3],
            quat=rows[:, 3:7],
            half_size=rows[:, 7:10],
            target=np.rint(rows[:, 10]).astype(np.int64),
            sorted=rows[:, 11] > 0.5,
            in_bin=np.rint(rows[:, 12]).astype(np.int64),
            joined=values[split : split + n_bricks**2].reshape(n_bricks, n_bricks) > 0.5,
            gripped=gripped.astype(np.int64),
            bins=values[-4:].reshape(2, 2),
        )
