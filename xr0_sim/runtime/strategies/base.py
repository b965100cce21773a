"""When to start an inference, what to condition it on, and where its chunk goes on arrival.

A strategy is a frozen config without state of its own: everything it needs is in the timeline.
In the pictures k is the capture tick, d the delay in ticks, T_e = ``execution_horizon``; a row of
digits is the row index of the chunk that supplies the tick, ``.`` is a held tick.

Strategies with an ``execution_horizon`` start an inference when the running chunk has that many
rows behind it, so at delay 0 they capture in the same ticks. A chunk captured while the robot
stood still with nothing committed (the first of an episode, or after starvation) starts from its
row 0 on arrival: nothing was executed meanwhile, so no row is in the past.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields
from xr0_sim.runtime.timeline import Slot, Timeline
from xr0_sim.types import (
    CAPABILITIES,
    PREFIX_ONLY,
    ActionChunk,
    ChunkRequest,
    InferenceMoment,
    Observation,
)

DEFAULT_EXECUTION_HORIZON = 10
"""Default T_e: executed rows of a chunk before the next inference starts."""

TRAINED_PREFIX_STEPS = 6
"""Longest prefix XR-0 was trained with (arXiv 2602.12684): 200 ms at 30 Hz."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk that has just arrived, as its strategy sees it.

    Attributes:
        tick: Tick of the arrival.
        capture_tick: Tick of the observation.
        prefix_steps: Length of the prefix the chunk was conditioned on.
        standstill: Nothing was committed at the capture; the robot held ever since.
        number: Number of its inference.
        newest: No chunk of a later capture has arrived before.
        estimated_ticks: Delay that the controller believed in at the capture.
        superseded: Another chunk was placed between the capture and the tick of the arrival, and
            acted in ticks for which the prefix has rows of the chunk before it, or in which the
            robot was to hold.
    """

    tick: int
    capture_tick: int
    prefix_steps: int
    standstill: bool
    number: int = 0
    newest: bool = True
    estimated_ticks: int = 0
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an arriving chunk goes.

    Attributes:
        start_tick: Tick for which row 0 is due; rows before the arrival are dropped. Up to a
            start after the arrival the earlier chunks go on.
        overrun: The delay exceeded the prefix: rows were executed that the chunk did not know of.
    """

    start_tick: int
    overrun: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What a strategy may look at when it decides whether an inference starts.

    Attributes:
        tick: Present tick.
        timeline: Chunks on their ticks.
        in_flight: Inferences under way, oldest first.
        observe: Captures the observation of this tick; it is captured once however often asked.
            Pictures are rendered for it, so a strategy that looks every tick pays for it.
        last: What the newest inference saw; None before the first.
        finished: Number of the newest full inference that has arrived; None before the first.
        full_tick: Tick of the newest capture of a full inference; None before the first.
    """

    tick: int
    timeline: Timeline
    in_flight: tuple[InferenceMoment, ...]
    observe: Callable[[], Observation]
    last: Observation | None = None
    finished: int | None = None
    full_tick: int | None = None


class Strategy(CheckedFields, ABC):
    """Port of execution strategies: a frozen dataclass with `due` and, as needed, the rest.

    The executor asks in this order: `due` in every tick with fewer than `max_in_flight` inferences
    under way; `refresh` and `request` when one starts; `choose` and `place` when it arrives;
    `select` for the action of every tick, and `correct` where ``corrects`` says so. What is not
    overridden does what the three published basic strategies do.

    Attributes:
        max_in_flight: Most inferences under way at a time.
        needs: Capabilities the chunk model must have, names of `xr0_sim.types.CAPABILITIES`.
        head: Action-expert head trained for this strategy, used where none is named.
        other_heads: Heads that do where a checkpoint has no ``head``, the best first.
        takes_task_horizon: Whether a trained policy's best ``execution_horizon`` replaces the
            default of the field; not where the default is part of the method.
        corrects: Whether the model corrects every planned action when it is due, see
            `xr0_sim.runtime.correction`; `correct` then makes the action.
    """

    max_in_flight: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset()
    head: ClassVar[str] = "sync"
    other_heads: ClassVar[tuple[str, ...]] = ()
    takes_task_horizon: ClassVar[bool] = True
    corrects: ClassVar[bool] = False

    def head_among(self, heads: Collection[str]) -> str:
        """``head``, or the first of ``other_heads`` that is there; ``head`` if none is."""
        return next((name for name in (self.head, *self.other_heads) if name in heads), self.head)

    @property
    def label(self) -> str:
        """Short text for captions and tables; by default the fields."""
        return repr(self)

    def check(self, horizon: int, capabilities: frozenset[str] = PREFIX_ONLY) -> None:
        """Raises `ConfigError` if the strategy cannot run a model.

        Args:
            horizon: Rows of its chunks.
            capabilities: What the model can do.
        """
        check_needs(type(self).__name__, self.needs, capabilities)

    @abstractmethod
    def due(self, situation: Situation) -> bool:
        """Whether an inference starts in this tick."""

    def refresh(self, situation: Situation) -> int | None:
        """Number of a finished inference whose VLM cache is used again; None for a full one."""
        return None

    def request(
        self, timeline: Timeline, tick: int, estimated_ticks: int, observation: Observation
    ) -> ChunkRequest:
        """What the model is asked by the inference that starts now; no prefix by default.

        Args:
            timeline: May be prepared, e.g. cut.
            tick: Tick of the capture.
            estimated_ticks: Delay that the controller believes in; the true one is not known here.
            observation: As captured; a strategy may hand on a changed copy with the same tick.
        """
        return ChunkRequest(observation)

    def choose(self, timeline: Timeline, chunks: Sequence[ActionChunk]) -> ActionChunk:
        """The chunk that is placed, out of the samples of an inference; the first by default."""
        return chunks[0]

    def place(self, arrival: Arrival) -> Placement | None:
        """Where the arriving chunk goes; None drops it.

        Time-aligned by default: row i belongs to tick ``capture_tick + i``, or to the arrival if
        the robot stood still. A chunk older than one that has arrived is dropped.
        """
        if not arrival.newest:
            return None
        return Placement(arrival.tick if arrival.standstill else arrival.capture_tick)

    def select(self, slots: tuple[Slot, ...]) -> NDArray[np.float64]:
        """Action (14,) of a tick from the chunks that cover it, oldest first; the newest's row."""
        newest = slots[-1]
        return newest.chunk.actions[newest.index]

    @property
    def correction_s(self) -> float:
        """Time that a correction takes within its tick [s], counted in the device load."""
        return 0.0

    def correct(
        self, planned: NDArray[np.float64], corrected: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Action (14,) of a tick from that of `select` and the model's correction; the latter."""
        return corrected


def check_needs(what: str, needs: frozenset[str], capabilities: frozenset[str]) -> None:
    """Rejects a chunk model that cannot do what a strategy needs."""
    missing = sorted(needs - capabilities)
    if missing:
        words = "; ".join(f"{name}: {CAPABILITIES.get(name, 'unknown')}" for name in missing)
        raise ConfigError(
            f"{what}: expected a chunk model that can do {words}; this one can do "
            f"{', '.join(sorted(capabilities)) or 'nothing of it'}; use another strategy or model"
        )


def check_execution_horizon(execution_horizon: int, horizon: int) -> None:
    """Rejects a T_e that a chunk of ``horizon`` rows cannot supply."""
    if not 1 <= execution_horizon <= horizon:
        raise ConfigError(
            f"execution_horizon: expected 1..{horizon} (the chunk length), got {execution_horizon}"
        )


class TimeAligned(Strategy, ABC):
    """Infers after ``execution_horizon`` rows of the running chunk, aligned in time.

    Attributes:
        execution_horizon: T_e.
    """

    execution_horizon: int

    def check(self, horizon: int, capabilities: frozenset[str] = PREFIX_ONLY) -> None:
        """Rejects more executed rows than a chunk has."""
        super().check(horizon, capabilities)
        check_execution_horizon(self.execution_horizon, horizon)

    def due(self, situation: Situation) -> bool:
        """After ``execution_horizon`` rows, or when starved."""
        return executed(situation.timeline, situation.tick, self.execution_horizon)


def executed(timeline: Timeline, tick: int, execution_horizon: int) -> bool:
    """Whether T_e rows of the running chunk lie behind ``tick``, or it is starved."""
    index = timeline.next_index(tick)
    return index is None or index >= execution_horizon
