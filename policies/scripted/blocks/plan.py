"""Who does what: assigns each arm one job from the ground truth of a block scene.

The plan is a pure function of the state, with preferences that keep what hands already hold, so
that it can be asked at any snapshot and re-plans by itself after a shove or a slip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.assessment import LOST_HEIGHT
from envs.block_dismantling.bricks import HEIGHT, Brick
from envs.block_dismantling.grasp_clearance import hands_clear, is_graspable
from envs.block_dismantling.state import NO_BRICK, BlockState
from policies.scripted.blocks.boxed import bring_out
from policies.scripted.blocks.clusters import clusters, grid_view, leans, studs_up, turned_over
from policies.scripted.blocks.leaning import leaning_pair
from xr0_sim.conventions import ARMS
from xr0_sim.rotations import quat_rotate

MAX_VIEWS = 512
"""Cluster geometries kept before the cache starts anew."""
HANDS_WIDE = 0.14
"""Distance between two bricks within which the palms around them may meet [m]: a palm is 124 mm
wide."""
CROSS_REACH = 0.13
"""How far across the middle line a hand still picks up a loose brick [m]."""


JOB_KINDS = ("deliver", "hand_over", "take", "hold", "pull", "pick", "rest")


@dataclass(frozen=True)
class Job:
    """What one arm should do; ``kind`` is one of `JOB_KINDS`."""

    kind: str
    brick: int = NO_BRICK


def finished(state: BlockState, loose: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bricks that nothing more is done for, (n,): loose, in their tray and not held; or lost."""
    held = np.zeros(len(state.pos), dtype=bool)
    held[state.gripped[state.gripped != NO_BRICK]] = True
    lost = state.pos[:, 2] < LOST_HEIGHT
    return loose & (state.in_bin == state.target) & ~held | lost


class _ClusterView:
    """Which hands fit where in one cluster; arms are sides of the cluster's own frame here."""

    def __init__(self, group: list[int], bricks: list[Brick]):
        self.group = group
        self._bricks = dict(zip(group, bricks, strict=True))
        self._fits: dict[tuple[int, int], bool] = {}

    def layer(self, brick: int) -> int:
        """Layer on the cluster's own grid."""
        return self._bricks[brick].layer

    def fits(self, arm: int, brick: int) -> bool:
        """Whether a hand from that side fits around the brick."""
        if (arm, brick) not in self._fits:
            others = [b for i, b in self._bricks.items() if i != brick]
            self._fits[arm, brick] = is_graspable(self._bricks[brick], others, ARMS[arm])
        return self._fits[arm, brick]

    def pair_fits(self, puller: int, target: int, held: int) -> bool:
        """Whether the other hand fits around `held` while `puller` grips `target`."""
        holder = 1 - puller
        return self.fits(holder, held) and hands_clear(
            self._bricks[target], ARMS[puller], self._bricks[held], ARMS[holder]
        )


class BlockPlanner:
    """Caches the geometry of clusters between ticks; holds no other memory.

    Args:
        any_way_up: Whether clusters that lean or stand on their heads are taken as such.
    """

    def __init__(self, any_way_up: bool = False) -> None:
        self._any_way_up = any_way_up
        self._views: dict[tuple, _ClusterView] = {}

    def jobs(self, state: BlockState) -> tuple[Job, Job]:
        """One job per arm."""
        groups = clusters(state)
        size = np.empty(len(state.pos), dtype=int)
        for group in groups:
            size[group] = len(group)
        loose = size == 1
        done = finished(state, loose)
        jobs: list[Job | None] = [None, None]
        for arm, brick in enumerate(state.gripped.tolist()):
            if brick != NO_BRICK and loose[brick]:
                own = state.target[brick] == arm
                jobs[arm] = Job("deliver" if own else "hand_over", brick)
        whole = [g for g in groups if len(g) > 1]
        if whole:
            self._dismantle(state, self._first(state, whole), jobs)
        todo = np.flatnonzero(loose & ~done & ~np.isin(np.arange(len(loose)), state.gripped))
        for brick in todo.tolist():
            self._assign_loose(state, brick, jobs)
        if self._any_way_up:
            self._make_way(state, jobs)
        left, right = (job or Job("rest") for job in jobs)
        return left, right

    def _make_way(self, state: BlockState, jobs: list[Job | None]) -> None:
        """A hand keeps out of the middle while the other one puts a brick down there.

        One that holds part of a cluster lets go only if both would meet.
        """
        for arm, job in enumerate(jobs):
            if job is None or job.kind != "hand_over":
                continue
            other = 1 - arm
            waits = jobs[other]
            if waits is None or waits.kind not in ("take", "hold", "pick"):
                continue
            held = int(state.gripped[other])
            if held == NO_BRICK or self._meet(state, job.brick, held):
                jobs[other] = Job("rest")

    @staticmethod
    def _meet(state: BlockState, brick: int, held: int) -> bool:
        gap = np.linalg.norm(state.pos[brick, :2] - state.pos[held, :2])
        return bool(gap < HANDS_WIDE)

    def _first(self, state: BlockState, whole: list[list[int]]) -> list[int]:
        held = set(state.gripped.tolist())
        return max(whole, key=lambda g: (len(held & set(g)), len(g), -g[0]))

    def _view(self, state: BlockState, group: list[int]) -> _ClusterView:
        """Geometry of a cluster; cached by its composition."""
        bricks = grid_view(state, group)
        key = (tuple(group), tuple(bricks))
        if key not in self._views:
            if len(self._views) > MAX_VIEWS:
                self._views.clear()
            self._views[key] = _ClusterView(group, bricks)
        return self._views[key]

    def _dismantle(self, state: BlockState, group: list[int], jobs: list[Job | None]) -> None:
        if self._any_way_up:
            out = bring_out(state, group)
            if out is not None:
                arm, brick = out
                held = state.gripped[arm] == brick
                jobs[arm] = jobs[arm] or Job("hand_over" if held else "pick", brick)
                return
            if leans(state, group[0]):
                pair = leaning_pair(state, group)
                if pair is not None:
                    self._assign_pair(state, pair, jobs)
                    return
            if studs_up(state, group[0])[2] < 0:
                state = turned_over(state)
        view = self._view(state, group)
        flipped = quat_rotate(state.quat[group[0]], np.array([0.0, 1.0, 0.0]))[1] < 0
        top = [i for i in group if not state.joined[i].any()]
        best: tuple[tuple, int, int, int] | None = None
        for brick in top:
            for puller in range(2):
                held = self._best_hold(state, view, flipped, brick, puller)
                if held == NO_BRICK or not view.fits(puller ^ flipped, brick):
                    continue
                score = (
                    state.target[brick] == puller,
                    state.gripped[puller] == brick,
                    round(state.pos[brick, 2] / HEIGHT),
                    state.gripped[1 - puller] == held,
                    -brick,
                )
                if best is None or score > best[0]:
                    best = (score, brick, puller, held)
        if best is not None:
            self._assign_pair(state, best[1:], jobs)

    @staticmethod
    def _assign_pair(state: BlockState, pair: tuple[int, int, int], jobs: list[Job | None]) -> None:
        """One arm takes or pulls a brick, the other holds one."""
        brick, puller, held = pair
        holder = 1 - puller
        ready = state.gripped[puller] == brick and state.gripped[holder] == held
        if jobs[puller] is None:
            jobs[puller] = Job("pull" if ready else "take", brick)
        if jobs[holder] is None:
            jobs[holder] = Job("hold", held)

    def _best_hold(
        self, state: BlockState, view: _ClusterView, flipped: bool, target: int, puller: int
    ) -> int:
        """Brick of the cluster the other arm should grip while `puller` pulls `target`."""
        holder = 1 - puller
        best, best_score = NO_BRICK, None
        for i in view.group:
            if i == target or view.layer(i) >= view.layer(target):
                continue
            if not view.pair_fits(puller ^ flipped, target, i):
                continue
            gap = float(np.linalg.norm(state.pos[i] - state.pos[target]))
            score = (
                state.gripped[holder] == i,
                bool(state.joined[i, target]),
                -round(gap, 3),
                -i,
            )
            if best_score is None or score > best_score:
                best, best_score = i, score
        return best

    def _assign_loose(self, state: BlockState, brick: int, jobs: list[Job | None]) -> None:
        wanted = int(state.target[brick])
        sign = 1.0 if wanted == 0 else -1.0
        arm = wanted if state.pos[brick, 1] * sign > -CROSS_REACH else 1 - wanted
        if jobs[arm] is None:
            jobs[arm] = Job("pick", brick)
