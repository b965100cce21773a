"""Infer while moving, conditioned on the committed actions: XR-0's clean action prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.runtime.strategies.base import (
    DEFAULT_EXECUTION_HORIZON,
    TRAINED_PREFIX_STEPS,
    Arrival,
    Placement,
    Situation,
    Strategy,
    check_execution_horizon,
    executed,
)
from xr0_sim.runtime.timeline import Timeline
from xr0_sim.types import PREFIX_ONLY, ChunkRequest, Observation

README_STEPS_LEFT = 10
"""XR-0 post-training README: an inference starts when fewer than this many steps are left."""

ALIGNMENTS = ("report", "readme")

_ESTIMATED = re.compile(r"estimated(\+(?P<margin>[0-9]+))?(:longest=(?P<longest>[0-9]+))?")


@dataclass(frozen=True)
class EstimatedPrefix(CheckedFields):
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


def parse_prefix_steps(text: str) -> int | EstimatedPrefix:
    """``6``, or ``estimated``, with a margin and a limit of its own: ``estimated+2:longest=20``."""
    found = _ESTIMATED.fullmatch(text.strip())
    if found is not None:
        longest = TRAINED_PREFIX_STEPS if found["longest"] is None else int(found["longest"])
        return EstimatedPrefix(int(found["margin"] or 0), longest)
    if not text.strip().isdecimal():
        raise ConfigError(
            "prefix_steps: expected a whole number, 'estimated', 'estimated+N' or "
            f"'estimated:longest=N', got {text!r}"
        )
    return int(text)


@dataclass(frozen=True)
class PrefixAsync(Strategy):
    """Infers while moving, with the actions already committed as a clean prefix of the new chunk.

    ``alignment="report"`` (XR-0 report): the prefix is what ticks k .. k+Δ-1 will execute. ::

        tick     k-1   k  k+1  k+2  k+3  k+4  k+5  k+6
        old       9   10   11   12  (13) (14)
        prefix        10   11   12   13   14              Δ = 5
        new            0    1    2    3    4    5    6    rows 0..Δ-1 repeat the prefix
        robot     9   10   11   12    3    4    5    6    d = 3 <= Δ: same actions, no seam
                       ^capture       ^arrival

    With d > Δ the prefix has run out before the arrival, an *overrun*. ``overrun`` says what then:
    ``play`` executes rows the model never saw, and the swap may jump (flagged in the tick record);
    ``hold`` stops at the end of the prefix, and the chunk goes on with its row Δ; ``replan`` plays
    on and drops the chunk that is late; late every time, it comes to stopping and inferring.

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
        execution_horizon: T_e for the report's alignment (None: ``DEFAULT_EXECUTION_HORIZON``);
            the README's alignment has its own trigger and takes None only.
        prefix_steps: Δ, a fixed number of steps or a rule that follows the delay estimate.
        alignment: Which of the two published alignments.
        overrun: What happens where the delay exceeds the prefix; ``hold`` and ``replan`` with the
            report's alignment only.
    """

    needs: ClassVar[frozenset[str]] = PREFIX_ONLY
    head: ClassVar[str] = "prefix_lambda"

    execution_horizon: int | None = None
    prefix_steps: int | EstimatedPrefix = field(
        default=EstimatedPrefix(), metadata={"parse": parse_prefix_steps}
    )
    alignment: Literal["report", "readme"] = "report"
    overrun: Literal["play", "hold", "replan"] = "play"

    def __post_init__(self) -> None:
        """Rejects unknown alignments, negative prefixes and a T_e the alignment has no use for."""
        if isinstance(self.prefix_steps, int) and self.prefix_steps < 0:
            raise ConfigError(f"prefix_steps: expected >= 0, got {self.prefix_steps}")
        if self.alignment == "readme" and self.execution_horizon is not None:
            raise ConfigError(
                "execution_horizon: expected None with alignment='readme', which starts when "
                f"fewer than {README_STEPS_LEFT} steps are left, got {self.execution_horizon}"
            )
        if self.alignment == "readme" and self.overrun != "play":
            raise ConfigError(
                f"overrun: expected 'play' with alignment='readme', got {self.overrun!r}"
            )

    @property
    def label(self) -> str:
        """For example ``prefix async T_e=10 Δ=6``."""
        rule = self.prefix_steps
        prefix = f"Δ={rule}" if isinstance(rule, int) else f"Δ≤{rule.longest}"
        if self.alignment == "readme":
            return f"prefix async readme {prefix}"
        late = "" if self.overrun == "play" else f", late: {self.overrun}"
        return f"prefix async T_e={self._execution_horizon} {prefix}{late}"

    @property
    def _execution_horizon(self) -> int:
        chosen = self.execution_horizon
        return DEFAULT_EXECUTION_HORIZON if chosen is None else chosen

    def check(self, horizon: int, capabilities: frozenset[str] = PREFIX_ONLY) -> None:
        """Rejects T_e + Δ beyond the chunk: the prefix could never be filled."""
        super().check(horizon, capabilities)
        fixed = self.prefix_steps if isinstance(self.prefix_steps, int) else 0
        if self.alignment == "readme":
            if horizon <= README_STEPS_LEFT:
                raise ConfigError(
                    f"alignment='readme': expected chunks longer than {README_STEPS_LEFT} rows, "
                    f"got {horizon}; use alignment='report'"
                )
            return
        check_execution_horizon(self._execution_horizon, horizon)
        if self._execution_horizon + fixed > horizon:
            raise ConfigError(
                f"execution_horizon + prefix_steps: expected <= {horizon} (the chunk length), got "
                f"{self._execution_horizon} + {fixed}; lower one of them"
            )

    def due(self, situation: Situation) -> bool:
        """After T_e rows (report), with few rows left (README), or when starved."""
        if self.alignment == "readme":
            return situation.timeline.remaining(situation.tick) < README_STEPS_LEFT
        return executed(situation.timeline, situation.tick, self._execution_horizon)

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """The committed actions, from the near end (report) or the far end (README)."""
        rule = self.prefix_steps
        if isinstance(rule, int):
            steps = rule
        else:
            steps = min(estimated_ticks + rule.margin_steps, rule.longest)
        if self.alignment == "readme":
            left = timeline.remaining(tick)
            prefix = timeline.committed(tick, left)[max(0, left - steps) :]
        else:
            prefix = timeline.committed(tick, steps)
        if self.overrun == "hold":
            timeline.cut(tick + len(prefix))
        return ChunkRequest(observation, prefix)

    def place(self, arrival: Arrival) -> Placement | None:
        """Time-aligned; the chunk takes over at its row d, or as ``overrun`` says."""
        if arrival.standstill:
            return Placement(arrival.tick)
        late = arrival.tick - arrival.capture_tick > arrival.prefix_steps
        if late and self.overrun == "replan":
            return None
        if late and self.overrun == "hold":
            return Placement(arrival.tick - arrival.prefix_steps)
        return Placement(arrival.capture_tick, overrun=late)
