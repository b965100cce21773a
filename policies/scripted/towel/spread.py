"""Spreading a towel: two hands take the corners of one edge, lift it, and lay it down in an arc.

What was tucked under or folded over falls free as soon as the towel hangs::

    grasp ──► hold ──► spread: up until it hangs ──► down until it touches ──► over, taut ──► let_go

Where no edge offers two free corners, one hand takes the freest corner alone, lifts it and lays the
towel out towards its own side; that frees others. Where all but a corner lies flat, one hand takes
that corner to its place, or lays it there if the other hand has lost its own.

Nothing is remembered here; whether the towel has been up is part of the scene's state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from envs.control_rate import ticks_of
from envs.towel_folding.cloth import rest_grid
from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.folds import (
    CORNER_LIMIT,
    IOU_LIMIT,
    MIRROR_LIMIT,
    Fold,
    measure,
    mirror_index,
)
from envs.towel_folding.folds import corners as fold_corners
from envs.towel_folding.state import LIFT, TowelState
from policies.scripted.towel.corners import (
    COVERED,
    corner_cost,
    ends,
    flat_places,
    folded_corner,
    nearly_flat,
)
from xr0_sim.conventions import CONTROL_HZ

EDGES = tuple(Fold(name) for name in ("toward", "away", "right", "left"))
"""The four edges, named by the fold that would move them: far, near, left, right."""
OWN_CORNER = 0.055
"""A pinched mass point this near to a corner belongs to it [m]."""
LAYERS = 0.015
"""Distance from a pinched mass point within which others are in the same pinch [m]; chosen."""
APART, BEYOND = (0.16, 0.12), (0.08, 0.14)
"""Distance across the table below which two hands begin to get in each other's way, and at which
they do [m]; how far beyond the middle line a hand can reach well, and where it cannot [m]."""
SPREAD_LIMIT = 0.8
"""Share of the judge's limits within which a towel counts as spread."""
SPREAD_HEIGHT, HANDLED_HEIGHT = 0.012, 0.060
"""Height of a spread towel, and of one that hands have just left, which has to settle yet [m]."""
SETTLED_S = 0.4
"""Time that takes [s]."""
SLACK = 0.97
"""Share of its length to which the held edge is drawn out."""
TOP = 0.335
"""Height pinched points are lifted to [m]."""
LIFT_TOLERANCE = 0.02
HANGS = 0.020
"""Height of the opposite edge from which the towel hangs [m]."""
STEEP = 0.10
"""How far the held edge may be ahead of the opposite one while the towel hangs [m]; chosen."""
BACK = 0.22
"""How far before the middle of the table the edge is let down; it slides on with the hands [m]."""
AT_START = 0.035
"""Distance from the line it is let down on within which a hanging towel is let down [m]."""
SLACK_REACH, TAUT_REACH = 0.93, 0.99
"""Radius of the arc at its top and at its end, as a share of the cloth's length.

Taut all the way, the light towel would slide along with the hands.
"""
LOW = 0.026
"""Height of a pinched point at which it may be let go [m]."""
SWING = 0.35
"""How far ahead on the arc a hand is sent [rad]."""
ROUND, EDGES_FIRST = 4, 2
"""Attempts after which the choice starts anew, and how many of them may be by both hands."""
FAR_COST, FARTHEST = 10.0, 0.30
"""Cost of a metre between a hand and its corner across the table [1/m], and from where on it no
longer rises [m]; chosen: 20 cm outweigh a curled corner."""
NEXT_ONE = 3.0
"""What the corner whose turn it is after attempts in vain is preferred by; chosen."""
MIDDLE = 0.06
"""Distance from the middle line within which the nearer hand takes a corner [m]."""
ALONE_START, ALONE_END, ALONE_TOP = 0.06, 0.26, 0.31
"""Where a hand alone begins and ends to lay a towel out, towards its own side, and the height it
lifts the corner to [m]; over the middle line at `TOP` an arm is stretched out with its wrist at its
end, and does not find back."""
UNFOLD_HEIGHT, UNFOLD_SLOPE, UNFOLDED = 0.07, 0.8, 0.015
"""Greatest height of a corner on the way to its flat place [m], height per distance to go, and the
distance at which it is let go [m]; chosen."""
ALONE_AHEAD = 0.05
"""How far ahead on that way it is sent [m]."""
SIDES = (1.0, -1.0)
"""Sign of the y direction of the left and the right arm's side."""


@dataclass(frozen=True)
class Spread:
    """Which edge is taken, and where it goes.

    Attributes:
        edge: The fold whose moving edge is held.
        corners: (2,) mass point of the corner each arm takes.
        alone: The arm that acts alone, or -1 where both corners are to be had.
        places: Where the mass points belong, (grid², 2) [m], if the arm alone only has to bring
            one corner there.
    """

    edge: Fold
    corners: tuple[int, int]
    alone: int = NOTHING
    places: NDArray[np.float64] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, state: TowelState, tools: NDArray[np.float64] | None = None) -> Spread | None:
        """The edge to take now, after attempts in vain another; None if none fits what is held.

        Args:
            state: The towel.
            tools: Tool points (2, 3) [m]; what a hand is near to is preferred, so that hands on
                their way do not turn round whenever a heap creeps.
        """
        options: list[tuple[float, int, Spread]] = []
        for edge in EDGES:
            first, second = (int(c) for c in fold_corners(state.grid, edge)[:, 0])
            if state.points[first, 1] < state.points[second, 1]:
                first, second = second, first
            swaps = ((first, second), (second, first))
            for pair in swaps[: 2 if (state.held != NOTHING).any() else 1]:
                if all(holds_or_free(state, arm, pair[arm]) for arm in range(2)):
                    options.append((_cost(state, pair), len(options), cls(edge, pair)))
        tried = (int(state.failures.sum()) // 2 + int(state.lifts.max())) % ROUND
        pairs = any(cost < COVERED for cost, _, _ in options)
        unfolding = cls._unfolding(state, tools, not pairs or tried % 2 == 1)
        if unfolding is not None:
            return unfolding
        if not options:
            return None
        options.sort(key=lambda option: option[:2])
        held = np.flatnonzero(state.held != NOTHING)
        if len(held):
            best = options[0][2]
            alone = len(held) == 1 and options[0][0] >= COVERED
            return replace(best, alone=int(held[0])) if alone else best
        good = [
            (
                cost + np.mean([_far(state, tools, arm, way.corners[arm]) for arm in range(2)]),
                n,
                way,
            )
            for cost, n, way in options
            if cost < COVERED
        ]
        good.sort(key=lambda option: option[:2])
        if good and nearly_flat(state, flat_places(state)):
            return good[tried // 2 % min(len(good), EDGES_FIRST)][2]
        if tried < min(len(good), EDGES_FIRST):
            return good[tried][2]
        return cls._alone(state, tools, tried)

    @classmethod
    def _alone(cls, state: TowelState, tools: NDArray[np.float64] | None, tried: int) -> Spread:
        """One corner: a free one by the arm on whose side it lies; after attempts another."""
        corners = ends(state.grid)
        costs = {corner: corner_cost(state, corner) for corner in corners}
        free = [corner for corner in corners if costs[corner] < COVERED] or corners
        ways = []
        for corner in free:
            here = state.points[corner]
            arm = _arm_for(here[1], tools, here[:2])
            turn = NEXT_ONE if tried and corners[tried] == corner else 0.0
            cost = costs[corner] + _far(state, tools, arm, corner) - turn
            ways.append((cost, corner, arm))
        _, corner, arm = min(ways)
        return cls._by(arm, corner, state)

    @classmethod
    def _by(cls, arm: int, corner: int, state: TowelState) -> Spread:
        """One arm with one corner."""
        edge = next(e for e in EDGES if corner in fold_corners(state.grid, e)[:, 0])
        other = next(int(c) for c in fold_corners(state.grid, edge)[:, 0] if c != corner)
        return cls(edge, (corner, other) if arm == 0 else (other, corner), arm)

    @classmethod
    def _unfolding(
        cls, state: TowelState, tools: NDArray[np.float64] | None, turn: bool
    ) -> Spread | None:
        """The one corner that a towel is not flat for, by the arm on whose side it belongs.

        Args:
            state: The towel.
            tools: As in `of`.
            turn: Whether it is its turn to be taken; two hands that lift an edge free most corners.
        """
        held = np.flatnonzero(state.held != NOTHING)
        if len(held) == len(state.held):
            return None
        places = flat_places(state)
        if not nearly_flat(state, places):
            return None
        if len(held) and state.peak.max() > LIFT:
            arm = int(held[0])
            lifted = [c for c in ends(state.grid) if holds_or_free(state, arm, c)]
            corner = lifted[0] if lifted else None
        else:
            corner = folded_corner(state, places, tools) if turn else None
        if corner is None:
            return None
        if not len(held):
            arm = _arm_for(places[corner, 1], tools, places[corner])
        elif not holds_or_free(state, arm := int(held[0]), corner):
            return None
        return replace(cls._by(arm, corner, state), places=places)

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit direction on the table from the opposite edge to the held one, (2,).

        Hands left and right hold any edge across the table and lay it down along it.
        """
        return np.array([self.edge.sign, 0.0])

    def opposite(self, state: TowelState, point: int) -> int:
        """Mass point on the other side of the towel."""
        return int(mirror_index(state.grid, self.edge)[point])

    def goal(self, state: TowelState, arm: int) -> NDArray[np.float64]:
        """Where the pinched point of an arm should go next, (3,) [m]; both arms hold."""
        points, rest = state.points, rest_grid(state.grid)
        held = state.held
        ends = np.array([self.opposite(state, int(h)) for h in held])
        across = np.array([0.0, 1.0])
        side = np.sign((points[held[0], :2] - points[held[1], :2]) @ across) or 1.0
        apart = SLACK * float(np.linalg.norm(rest[held[0]] - rest[held[1]]))
        lane = (side if arm == 0 else -side) * apart / 2 * across
        start = lane - self.direction * BACK
        if state.peak.min() < TOP - LIFT_TOLERANCE:
            return np.array([*start, TOP])
        middle, edge = points[held].mean(axis=0), points[ends].mean(axis=0)
        gap = middle - edge
        # Later on the way over, an edge that comes off the table once more is only laid down.
        if points[ends, 2].min() > HANGS and gap[:2] @ self.direction < STEEP:
            aside = abs(float((middle[:2] + self.direction * BACK) @ self.direction))
            down = 0.06 if aside < AT_START else 0.0
            return np.array([*start, points[held[arm], 2] - down])
        length = abs(float(rest[held[arm], self.edge.axis] - rest[ends[arm], self.edge.axis]))
        angle = float(np.arctan2(gap[2], max(gap[:2] @ self.direction, 1e-3)))
        angle = max(angle - SWING, 0.0)
        reach = length * (SLACK_REACH + (TAUT_REACH - SLACK_REACH) * np.cos(angle) ** 2)
        ahead = edge[:2] + reach * np.cos(angle) * self.direction
        ahead += (middle[:2] - ahead) @ across * across
        return np.array([*(ahead + lane), reach * np.sin(angle)])

    def goal_alone(self, state: TowelState, arm: int) -> NDArray[np.float64]:
        """Where the pinched point of a hand alone should go next, (3,) [m]."""
        here = state.points[int(state.held[arm])]
        if self.places is not None:
            place = self.places[int(state.held[arm])]
            far = float(np.linalg.norm(place - here[:2]))
            return np.array([*place, min(UNFOLD_HEIGHT, UNFOLD_SLOPE * far)])
        if state.peak[arm] < ALONE_TOP - LIFT_TOLERANCE:
            return np.array([0.0, SIDES[arm] * ALONE_START, ALONE_TOP])
        way = min(max(SIDES[arm] * here[1] + ALONE_AHEAD, ALONE_START), ALONE_END)
        share = (way - ALONE_START) / (ALONE_END - ALONE_START)
        return np.array([0.0, SIDES[arm] * way, ALONE_TOP * (1.0 - share)])

    def laid_alone(self, state: TowelState, arm: int) -> bool:
        """Whether a hand alone has come down at the end of its way."""
        point = int(state.held[arm])
        if state.points[point, 2] >= LOW:
            return False
        if self.places is None:
            return bool(state.peak[arm] > LIFT)
        gap = state.points[point, :2] - self.places[point]
        return bool(np.linalg.norm(gap) < UNFOLDED)

    def laid(self, state: TowelState) -> bool:
        """Whether both hands have come down at the end of the arc."""
        low = all(state.points[int(h), 2] < LOW for h in state.held)
        return low and bool(state.peak.min() >= TOP - LIFT_TOLERANCE)


def is_spread(state: TowelState, closing: bool = False, control_hz: int = CONTROL_HZ) -> bool:
    """Whether a towel lies flat enough to be let go, and hands on it had better leave.

    Args:
        state: The towel.
        closing: Whether a hand has come down to pinch it.
        control_hz: Control rate [Hz].
    """
    fit = measure(state.points, ())
    if fit.mirror > SPREAD_LIMIT * MIRROR_LIMIT or fit.iou < IOU_LIMIT:
        return False
    # Hands that have not lifted what they pinch yet have more to do than let it settle.
    begun = closing or bool(((state.held != NOTHING) & (state.peak < LIFT)).any())
    settles = state.untouched < ticks_of(SETTLED_S, control_hz) and not begun
    corner = SPREAD_LIMIT * CORNER_LIMIT + (fit.height if settles else 0.0)
    return fit.corner < corner and fit.height < (HANDLED_HEIGHT if settles else SPREAD_HEIGHT)


def holds_or_free(state: TowelState, arm: int, corner: int) -> bool:
    """Whether an arm holds nothing, or this corner, by itself or with what lies on or under it."""
    point = int(state.held[arm])
    if point == NOTHING:
        return True
    rest, points = rest_grid(state.grid), state.points
    pinched = np.linalg.norm(points - points[point], axis=1) <= LAYERS
    return bool((np.linalg.norm(rest[pinched] - rest[corner], axis=1) < OWN_CORNER).any())


def _cost(state: TowelState, pair: tuple[int, int]) -> float:
    """How ill two corners lie for both hands."""
    free = [corner for arm, corner in enumerate(pair) if state.held[arm] == NOTHING]
    cost = sum(corner_cost(state, corner) for corner in free)
    if not free:
        return 0.0
    across = state.points[list(pair), 1]
    beyond = max(-SIDES[arm] * across[arm] for arm in range(2))
    for value, (fair, bad) in ((across[0] - across[1], APART), (beyond, BEYOND)):
        cost += COVERED * min(max((value - fair) / (bad - fair), 0.0), 1.0)
    return cost


def _far(state: TowelState, tools: NDArray[np.float64] | None, arm: int, corner: int) -> float:
    """Cost of the way from a hand to a corner; 0 where no tools are told."""
    if tools is None:
        return 0.0
    gap = float(np.linalg.norm(tools[arm, :2] - state.points[corner, :2]))
    return FAR_COST * min(gap, FARTHEST)


def _arm_for(y: float, tools: NDArray[np.float64] | None, place: NDArray[np.float64]) -> int:
    """The arm on whose side `y` [m] is; in the middle the one nearer to a place (2,) [m]."""
    if tools is None or abs(y) > MIDDLE:
        return 0 if y > 0 else 1
    return int(np.linalg.norm(tools[:, :2] - place, axis=1).argmin())
