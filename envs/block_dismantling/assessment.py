"""Keeps the books on every brick, tick by tick: at rest, falling, dropped, sorted.

Plain numbers on purpose: for a handful of bricks an array operation costs more than the arithmetic,
and this runs every tick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from envs.block_dismantling.bins import BIN_HALF_SIZE
from envs.block_dismantling.contacts import Touch
from envs.block_dismantling.lying import LyingBricks
from envs.block_dismantling.state import NO_BRICK
from envs.reward import near

REST_SPEED, REST_TURN = 0.03, 0.6
"""A brick is at rest when every velocity component is below these [m/s], [rad/s]."""
REST_TICKS = 5
LOST_HEIGHT = -0.05
"""A brick below this fell off the table [m]."""
DROP_SPEED = 0.5
"""A brick that falls faster than this outside the bins was dropped [m/s]."""


class BrickJudge:
    """What has become of the bricks of one episode.

    Args:
        colours: Colour of every brick.
        trays: Centre (x, y) of every tray [m].
        rest_ticks: Control ticks a brick lies still and untouched before it counts.
        lying: Tells how a brick lies; None if its centre above the tray is enough.

    Attributes:
        sorted: For each brick, whether it lies released and at rest in the tray of its colour. It
            stays so while nothing touches or moves it, also when a hand comes near again.
        drops: Bricks dropped outside the trays so far.
        peak_force: Largest contact force between an arm and a brick so far [N].
    """

    def __init__(
        self,
        colours: Sequence[str],
        trays: Sequence[Sequence[float]],
        rest_ticks: int = REST_TICKS,
        lying: LyingBricks | None = None,
    ):
        n = len(colours)
        self._rest_ticks = rest_ticks
        self._lying = lying
        self._colours = tuple(colours)
        self._trays = [tuple(centre) for centre in trays]
        self._rest = [0] * n
        self._falling = [False] * n
        self._settled = [False] * n
        self._stranded = [False] * n
        self.sorted = [False] * n
        self.drops = 0
        self.peak_force = 0.0

    def bin_of(self, pos: Sequence[float]) -> int:
        """Bin a point (x, y, ...) is over, or -1."""
        for k, (x, y) in enumerate(self._trays):
            if abs(pos[0] - x) < BIN_HALF_SIZE and abs(pos[1] - y) < BIN_HALF_SIZE:
                return k
        return NO_BRICK

    def update(
        self,
        pos: Sequence[Sequence[float]],
        speed: Sequence[Sequence[float]],
        touch: Touch,
        attached: Sequence[bool],
        rule: Mapping[str, int],
    ) -> tuple[str, ...]:
        """Takes one tick in.

        Args:
            pos: Brick centres, (n, 3) [m].
            speed: Brick velocities, (n, 6) [m/s, rad/s].
            touch: Contacts.
            attached: For each brick, whether a clutch holds it.
            rule: Colour -> bin index.

        Returns:
            Per brick ``attached``, ``detached``, ``misplaced``, ``sorted`` or ``lost``: below the
            table, out of reach for the rest of the episode.
        """
        states = []
        for i, (p, v) in enumerate(zip(pos, speed, strict=True)):
            still = _at_rest(v) and not touch.touched[i]
            self._rest[i] = self._rest[i] + 1 if still else 0
            lost = p[2] < LOST_HEIGHT
            place = NO_BRICK if lost else self.bin_of(p)
            falling = v[2] < -DROP_SPEED and place == NO_BRICK
            self.drops += falling and not self._falling[i]
            self._falling[i] = falling
            settled = self._settles(i, place) and not attached[i]
            self._settled[i] = settled
            self.sorted[i] = settled and place == rule[self._colours[i]]
            settled_as = "sorted" if self.sorted[i] else "misplaced"
            moving_as = "attached" if attached[i] else "lost" if lost else "detached"
            states.append(settled_as if settled else moving_as)
        self.peak_force = max(self.peak_force, touch.peak_force)
        return tuple(states)

    def place(self, brick: int, pos: Sequence[float]) -> int:
        """Bin a brick at `pos` is over, or -1; also -1 for one that lies there but not inside."""
        return NO_BRICK if self._stranded[brick] else self.bin_of(pos)

    def _settles(self, brick: int, place: int) -> bool:
        """Whether a brick over bin `place` has come to rest in it."""
        rests = self._rest[brick] >= self._rest_ticks and place != NO_BRICK
        lying = self._lying
        if lying is None or not rests:
            self._stranded[brick] = False
            return rests
        if self._settled[brick]:
            return True
        self._stranded[brick] = not lying.inside(brick, place)
        return not self._stranded[brick] and lying.free_of_hands(brick)

    def carried(
        self, pos: Sequence[Sequence[float]], attached: Sequence[bool], rule: Mapping[str, int]
    ) -> float:
        """Reward term: nearness of the unsorted loose bricks to their trays, in [0, 1]."""
        unsorted = [i for i, done in enumerate(self.sorted) if not done]
        loose = [i for i in unsorted if not attached[i]]
        if not loose:
            return 0.0 if unsorted else 1.0
        total = 0.0
        for i in loose:
            tray = self._trays[rule[self._colours[i]]]
            total += near(math.dist(pos[i][:2], tray), BIN_HALF_SIZE, margin=0.4)
        return total / len(loose)

    def snapshot(self) -> Any:
        """Everything `restore` needs."""
        books = (self._rest, self._falling, self.sorted, self._settled, self._stranded)
        return tuple(tuple(book) for book in books), self.drops, self.peak_force

    def restore(self, state: Any) -> None:
        """Inverse of `snapshot`."""
        books, self.drops, self.peak_force = state
        self._rest, self._falling, self.sorted, self._settled, self._stranded = map(list, books)


def _at_rest(v: Sequence[float]) -> bool:
    """Whether a free body with velocity (6,) [m/s, rad/s] hardly moves."""
    return (
        -REST_SPEED < v[0] < REST_SPEED
        and -REST_SPEED < v[1] < REST_SPEED
        and -REST_SPEED < v[2] < REST_SPEED
        and -REST_TURN < v[3] < REST_TURN
        and -REST_TURN < v[4] < REST_TURN
        and -REST_TURN < v[5] < REST_TURN
    )
