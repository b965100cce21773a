"""What a simulator behind the socket offers, and what it says of a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

READING_SHAPES: dict[str, tuple[int, ...]] = {
    "joint_pos": (-1,),
    "joint_vel": (-1,),
    "tool_pos": (3,),
    "tool_quat": (4,),
}
"""Numbers of a reading and their shapes: joints, fingers behind them [rad, m] and their speeds,
tool position in the world frame [m], tool orientation wxyz. Beside them stand ``reward``,
``success`` (bool), ``opening`` (0 closed .. 1 open) and ``objects``, a map of name to (3,) [m]."""

Reading = Mapping[str, Any]


class Simulator(Protocol):
    """A simulator of one single-arm task; every value is one that `xr0_sim.wire` carries."""

    def describe(self) -> dict[str, Any]:
        """``instruction``, ``control_hz``, ``objects`` (names), ``target`` (one of them)."""
        ...

    def reset(self, seed: int) -> Reading:
        """Puts robot and scene at the start of the episode of a seed."""
        ...

    def step(self, action: NDArray[np.float64]) -> Reading:
        """Executes one control tick of a (7,) action."""
        ...

    def pictures(self, cameras: Sequence[str], height: int, width: int) -> dict[str, Any]:
        """Camera -> (height, width, 3) uint8; ``scene`` sees the whole table, upright, for films.

        The policy's cameras are turned as the benchmark's own evaluation turns them.
        """
        ...

    def snapshot(self) -> dict[str, Any]:
        """The present state as arrays; `restore` goes on from it bit for bit."""
        ...

    def restore(self, state: Mapping[str, Any]) -> Reading:
        """Goes on from a snapshot of the same episode."""
        ...

    def shift(self, name: str, offsets: NDArray[np.float64]) -> dict[str, Any]:
        """Moves an object by the first of some offsets (n, 3) [m] for which there is room.

        Returns:
            ``place``, the row that was taken, -1 for none; ``reading``.
        """
        ...

    def knock(
        self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Shifts [m] and turns [rad] a camera in its parent's frame."""
        ...
