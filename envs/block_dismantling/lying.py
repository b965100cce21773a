"""How a brick lies: with every corner inside a tray, and with no hand around it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import mujoco

from envs.block_dismantling.bins import BIN_HALF_SIZE
from envs.robot.hand_geometry import PALM_DISTANCE, TIP_REACH

SLACK = 0.002
"""How far a corner may reach into walls and floor: contacts give way [m]."""
WITHDRAWN = 0.05
"""Distance of a hand's middle line from a brick's surface beyond which the hand has let go [m].

An open jaw reaches 45 mm to either side of that line: farther away nothing stands between the
fingers. The line runs from the finger tips to the palm."""
LINE_POINTS = (TIP_REACH, 0.0, -PALM_DISTANCE / 2, -PALM_DISTANCE)
"""Where distances are measured along the line, from the tool forwards [m]."""


class LyingBricks:
    """Asks one compiled scene how its bricks lie.

    Args:
        data: State of the scene, read at each question.
        bodies: Body of every brick.
        half_sizes: Half extents of every brick [m].
        trays: Centre (x, y) of every tray [m].
        rim_m: Height of the trays' walls [m].
        tool_sites: Tool site of either arm.
    """

    def __init__(
        self,
        data: mujoco.MjData,
        bodies: Sequence[int],
        half_sizes: Sequence[Sequence[float]],
        trays: Sequence[Sequence[float]],
        rim_m: float,
        tool_sites: Sequence[int],
    ) -> None:
        self._data = data
        self._bodies = tuple(bodies)
        self._half_sizes = half_sizes
        self._trays = trays
        self._rim_m = rim_m
        self._tool_sites = tuple(tool_sites)

    def inside(self, brick: int, tray: int) -> bool:
        """Whether all eight corners are inside the tray: within its walls and below its rim."""
        pos, axes = self._pose(brick)
        centre, reach = self._trays[tray], BIN_HALF_SIZE + SLACK
        for signs in product((-1.0, 1.0), repeat=3):
            arms = [s * h for s, h in zip(signs, self._half_sizes[brick], strict=True)]
            x, y, z = (
                p + sum(a * b for a, b in zip(r, arms, strict=True))
                for p, r in zip(pos, axes, strict=True)
            )
            if abs(x - centre[0]) > reach or abs(y - centre[1]) > reach:
                return False
            if not -SLACK < z <= self._rim_m:
                return False
        return True

    def free_of_hands(self, brick: int) -> bool:
        """Whether either hand is farther than `WITHDRAWN` from the brick."""
        pos, axes = self._pose(brick)
        half = self._half_sizes[brick]
        for site in self._tool_sites:
            tool = self._data.site_xpos[site].tolist()
            forward = self._data.site_xmat[site].tolist()[::3]
            for along in LINE_POINTS:
                offset = [t + along * f - p for t, f, p in zip(tool, forward, pos, strict=True)]
                gap = 0.0
                for k in range(3):
                    local = sum(axes[j][k] * offset[j] for j in range(3))
                    gap += max(abs(local) - half[k], 0.0) ** 2
                if gap < WITHDRAWN**2:
                    return False
        return True

    def _pose(self, brick: int) -> tuple[list[float], list[list[float]]]:
        """Centre (3,) [m] and rotation matrix (3, 3) of a brick, in plain numbers."""
        body = self._bodies[brick]
        flat = self._data.xmat[body].tolist()
        return self._data.xpos[body].tolist(), [flat[0:3], flat[3:6], flat[6:9]]
