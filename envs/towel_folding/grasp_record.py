"""What the two hands have done with the towel so far: a frozen record, a new one every tick."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from envs.control_rate import ticks_of
from envs.towel_folding.contacts import GRIP_JAW, NO_TOUCH, NOTHING, Touch
from envs.towel_folding.state import LIFT, LONG_S
from xr0_sim.conventions import ARMS, CONTROL_HZ

OPEN_JAW = 0.15
"""Opening above which a hand counts as open."""
CLOSED_COMMAND = 0.05
"""Commanded opening below which a hand was told to close."""
MISSED_JAW = 0.012
"""A hand that was told to close and is closed further than this holds nothing."""


@dataclass(frozen=True)
class Hands:
    """Per arm, left and right, where not said otherwise.

    Attributes:
        touch: Contacts of the present tick.
        failures: How often a hand closed on nothing.
        lifts: How often one lifted what it pinched.
        peak: Greatest height of the present pinch, 0 without one [m].
        empty: Whether a hand is closed on nothing now.
        untouched: Ticks for which nothing has touched the towel, up to those of `LONG_S`.
    """

    touch: Touch = NO_TOUCH
    failures: tuple[int, int] = (0, 0)
    lifts: tuple[int, int] = (0, 0)
    peak: tuple[float, float] = (0.0, 0.0)
    empty: tuple[bool, bool] = (False, False)
    untouched: int = 0

    @property
    def holding(self) -> list[int]:
        """Arms that hold the towel."""
        return [arm for arm in range(len(ARMS)) if self.touch.held[arm] != NOTHING]

    @property
    def handled(self) -> bool:
        """Whether any part of an arm touches the towel."""
        return any(self.touch.touched)

    def off(self, jaws: NDArray[np.float64]) -> bool:
        """Whether both hands, open to `jaws` (2,), have let go of the towel."""
        return not self.handled and bool((jaws > OPEN_JAW).all())

    def at_a_new_towel(self) -> Hands:
        """The record with nothing known of the towel that has just been laid down."""
        return Hands(failures=self.failures, lifts=self.lifts)

    def steadied(
        self, touch: Touch, jaws: NDArray[np.float64], commands: NDArray[np.float64]
    ) -> Touch:
        """Bridges ticks in which a closed pinch reads no force; contacts of cloth flicker.

        Args:
            touch: Contacts as read.
            jaws: Openings (2,).
            commands: Commanded openings (2,).
        """
        held = list(touch.held)
        for arm, before in enumerate(self.touch.held):
            pinched = MISSED_JAW < jaws[arm] < GRIP_JAW and touch.touched[arm]
            told = commands[arm] < CLOSED_COMMAND
            if held[arm] == NOTHING and before != NOTHING and told and pinched:
                held[arm] = before
        return replace(touch, held=(held[0], held[1]))

    def after(
        self,
        touch: Touch,
        heights: NDArray[np.float64],
        jaws: NDArray[np.float64],
        commands: NDArray[np.float64],
        longest: int = ticks_of(LONG_S, CONTROL_HZ),
    ) -> Hands:
        """The record after a tick.

        Args:
            touch: Contacts of that tick.
            heights: Heights of the mass points (grid²,) [m].
            jaws: Openings (2,).
            commands: Commanded openings (2,).
            longest: Ticks of `LONG_S`.
        """
        failures, lifts, peak = list(self.failures), list(self.lifts), list(self.peak)
        empty = [False, False]
        for arm, point in enumerate(touch.held):
            told = commands[arm] < CLOSED_COMMAND
            empty[arm] = bool(told and point == NOTHING and jaws[arm] < MISSED_JAW)
            failures[arm] += empty[arm] and not self.empty[arm]
            height = float(heights[point]) if point != NOTHING else 0.0
            lifts[arm] += self.peak[arm] < LIFT <= height
            peak[arm] = max(self.peak[arm], height) if point != NOTHING else 0.0
        untouched = 0 if any(touch.touched) else min(self.untouched + 1, longest)
        return Hands(
            touch,
            failures=(failures[0], failures[1]),
            lifts=(lifts[0], lifts[1]),
            peak=(peak[0], peak[1]),
            empty=(empty[0], empty[1]),
            untouched=untouched,
        )
