"""When to start an inference, what to condition it on, and where its chunk goes on arrival.

A strategy is a frozen config without state of its own: everything it needs is in the timeline.
In the pictures k is the capture tick, d the delay in ticks, T_e = ``execute``; a row of digits is
the row index of the chunk that supplies the tick, ``.`` is a held tick.

All strategies start an inference when the running chunk has ``execute`` rows behind it, so at
delay 0 they capture in the same ticks. A chunk captured while the robot stood still with nothing
committed (the first of an episode, or after starvation) starts from its row 0 on arrival: nothing
was executed meanwhile, so no row is in the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.runtime.strategies.base import Arrival, Placement
from xr0_sim.runtime.timeline import Timeline

EXECUTE_STEPS = 10
"""Default T_e: executed rows of a chunk before the next inference starts."""

TRAINED_PREFIX_STEPS = 6
"""Longest prefix XR-0 was trained with (arXiv 2602.12684): 200 ms at 30 Hz."""

README_STEPS_LEFT = 10
"""XR-0 post-training README: an inference starts when fewer than this many steps are left."""

ALIGNMENTS = ("report", "readme")


def _check_execute(execute: int, horizon: int) -> None:
    if not 1 <= execute <= horizon:
        raise ConfigError(f"execute: expected 1..{horizon} (the chunk length), got {execute}")


def _executed(timeline: Timeline, tick: int, execute: int) -> bool:
    index = timeline.next_index(tick)
    return index is None or index >= execute


@dataclass(frozen=True)
class Sync:
    """Executes ``execute`` rows, stops, infers, continues from row 0: the robot waits.

    ::

        tick     k-2  k-1   k  k+1  k+2  k+3  k+4
        old       8    9    |
        robot     8    9    .    .    .    0    1      d = 3, T_e = 10
                            ^capture       ^arrival

    The chunk is right for the state it finds, since the robot did not move; the world may have.
    """

    execute: int = EXECUTE_STEPS

    @property
    def label(self) -> str:
        """For example ``sync T_e=10``."""
        return f"sync T_e={self.execute}"

    def check(self, horizon: int) -> None:
        """Rejects more executed rows than a chunk has."""
        _check_execute(self.execute, horizon)

    def due(self, timeline: Timeline, tick: int) -> bool:
        """After ``execute`` rows, or when starved."""
        return _executed(timeline, tick, self.execute)

    def begin(self, timeline: Timeline, tick: int, estimated_ticks: int) -> NDArray[np.float64]:
        """Drops the rest of the running chunk; no prefix."""
        timeline.cut(tick)
        return np.empty((0, ENV_ACTION_DIM))

    def place(self, arrival: Arrival) -> Placement:
        """Row 0 on arrival."""
        return Placement(start_tick=arrival.tick)


@dataclass(frozen=True)
class NaiveAsync:
    """Infers while moving and swaps on arrival, aligned in time, without telling the model.

    ::

        tick     k-1   k  k+1  k+2  k+3  k+4
        old       9   10   11   12  (13) (14)
        new            0    1    2    3    4           rows 0..d-1 are never executed
        robot     9   10   11   12    3    4           d = 3, T_e = 10
                       ^capture       ^arrival: 12 -> 3 may jump

    The model plans rows 0..d-1 as it likes while the robot does something else; at the swap both
    plans meet wherever they happen to be.
    """

    execute: int = EXECUTE_STEPS

    @property
    def label(self) -> str:
        """For example ``naive async T_e=10``."""
        return f"naive async T_e={self.execute}"

    def check(self, horizon: int) -> None:
        """Rejects more executed rows than a chunk has."""
        _check_execute(self.execute, horizon)

    def due(self, timeline: Timeline, tick: int) -> bool:
        """After ``execute`` rows, or when starved."""
        return _executed(timeline, tick, self.execute)

    def begin(self, timeline: Timeline, tick: int, estimated_ticks: int) -> NDArray[np.float64]:
        """No prefix; the running chunk goes on."""
        return np.empty((0, ENV_ACTION_DIM))

    def place(self, arrival: Arrival) -> Placement:
        """Time-aligned: row i belongs to tick k + i."""
        return Placement(arrival.tick if arrival.standstill else arrival.capture_tick)


@dataclass(frozen=True)
class EstimatedPrefix:
    """A prefix as long as the estimated delay plus ``margin_steps``, at most ``longest``."""

    margin_steps: int = 0
    longest: int = TRAINED_PREFIX_STEPS

    def __post_init__(self) -> None:
        """Rejects negative lengths."""
        if self.margin_steps < 0 or self.longest < 0:
            raise ConfigError(
                "EstimatedPrefix: expected margin_steps >= 0 and longest >= 0, "
                f"got {self.margin_steps} and {self.longest}"
            )


@dataclass(frozen=True)
class PrefixAsync:
    """Infers while moving, with the actions already committed as a clean prefix of the new chunk.

    ``alignment="report"`` (XR-0 report): the prefix is what ticks k .. k+Δ-1 will execute. ::

        tick     k-1   k  k+1  k+2  k+3  k+4  k+5  k+6
        old       9   10   11   12  (13) (14)
        prefix        10   11   12   13   14              Δ = 5
        new            0    1    2    3    4    5    6    rows 0..Δ-1 repeat the prefix
        robot     9   10   11   12    3    4    5    6    d = 3 <= Δ: same actions, no seam
                       ^capture       ^arrival

    With d > Δ the robot executes rows the model never saw, and the swap may jump: an *overrun*,
    flagged in the tick record.

    ``alignment="readme"`` (XR-0 post-training README): an inference starts when fewer than
    ``README_STEPS_LEFT`` rows are left; the prefix is the *last* Δ of them, and the first d rows
    of the new chunk are dropped as above. ::

        tick      k  k+1  k+2  k+3  k+4  k+5  k+6  k+7  k+8
        old      21   22   23   24   25   26   27   28   29
        prefix   24   25   26   27   28   29                   Δ = 6 of 9 rows left
        robot    21   22   23    3'   4'   5'   6'             row 3' = old row 27, due at k+6

    This is not consistent in time: row i of the new chunk is executed at tick k+i but holds the
    action planned for tick k+i + (rows left - Δ). The swap skips ahead by that many ticks, three
    here, whatever the delay. It vanishes only when Δ covers every row left.

    Attributes:
        execute: T_e for the report's alignment (None: ``EXECUTE_STEPS``); the README's alignment
            has its own trigger and takes None only.
        prefix_steps: Δ, a fixed number of steps or a rule that follows the delay estimate.
        alignment: Which of the two published alignments.
    """

    execute: int | None = None
    prefix_steps: int | EstimatedPrefix = EstimatedPrefix()
    alignment: Literal["report", "readme"] = "report"

    def __post_init__(self) -> None:
        """Rejects unknown alignments, negative prefixes and a T_e the alignment has no use for."""
        if self.alignment not in ALIGNMENTS:
            raise unknown_name("prefix alignment", str(self.alignment), ALIGNMENTS)
        if isinstance(self.prefix_steps, int) and self.prefix_steps < 0:
            raise ConfigError(f"prefix_steps: expected >= 0, got {self.prefix_steps}")
        if self.alignment == "readme" and self.execute is not None:
            raise ConfigError(
                "execute: expected None with alignment='readme', which starts when fewer than "
                f"{README_STEPS_LEFT} steps are left, got {self.execute}"
            )

    @property
    def label(self) -> str:
        """For example ``prefix async T_e=10 Δ=6``."""
        rule = self.prefix_steps
        prefix = f"Δ={rule}" if isinstance(rule, int) else f"Δ≤{rule.longest}"
        if self.alignment == "readme":
            return f"prefix async readme {prefix}"
        return f"prefix async T_e={self._execute} {prefix}"

    @property
    def _execute(self) -> int:
        return EXECUTE_STEPS if self.execute is None else self.execute

    def check(self, horizon: int) -> None:
        """Rejects T_e + Δ beyond the chunk: the prefix could never be filled."""
        fixed = self.prefix_steps if isinstance(self.prefix_steps, int) else 0
        if self.alignment == "readme":
            if horizon <= README_STEPS_LEFT:
                raise ConfigError(
                    f"alignment='readme': expected chunks longer than {README_STEPS_LEFT} rows, "
                    f"got {horizon}; use alignment='report'"
                )
            return
        _check_execute(self._execute, horizon)
        if self._execute + fixed > horizon:
            raise ConfigError(
                f"execute + prefix_steps: expected <= {horizon} (the chunk length), got "
                f"{self._execute} + {fixed}; lower one of them"
            )

    def due(self, timeline: Timeline, tick: int) -> bool:
        """After T_e rows (report), with few rows left (README), or when starved."""
        if self.alignment == "readme":
            return timeline.remaining(tick) < README_STEPS_LEFT
        return _executed(timeline, tick, self._execute)

    def begin(self, timeline: Timeline, tick: int, estimated_ticks: int) -> NDArray[np.float64]:
        """The committed actions, from the near end (report) or the far end (README)."""
        rule = self.prefix_steps
        if isinstance(rule, int):
            steps = rule
        else:
            steps = min(estimated_ticks + rule.margin_steps, rule.longest)
        if self.alignment == "readme":
            left = timeline.remaining(tick)
            return timeline.committed(tick, left)[max(0, left - steps) :]
        return timeline.committed(tick, steps)

    def place(self, arrival: Arrival) -> Placement:
        """Time-aligned; the chunk takes over at its row d."""
        if arrival.standstill:
            return Placement(arrival.tick)
        late = arrival.tick - arrival.capture_tick > arrival.prefix_steps
        return Placement(arrival.capture_tick, overrun=late)


StrategyConfig = Sync | NaiveAsync | PrefixAsync
"""The strategies that exist, for command lines and configs."""

STRATEGIES: dict[str, StrategyConfig] = {
    "sync": Sync(),
    "naive": NaiveAsync(),
    "prefix": PrefixAsync(),
    "prefix_readme": PrefixAsync(prefix_steps=TRAINED_PREFIX_STEPS, alignment="readme"),
}


def parse_strategy(name: str) -> StrategyConfig:
    """Strategy from its name in `STRATEGIES`."""
    if name not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    return STRATEGIES[name]
