"""Which action of which chunk belongs to which control tick.

A timeline is a list of disjoint segments. Each is a chunk with the ticks it owns; a chunk may own
fewer ticks than it has actions, because a newer chunk took over or because it was cut::

    tick          20   21   22   23   24   25   26   27   28
    chunk 4     [  8    9   10 ]                                 owned until 23
    chunk 5                    [  3    4    5    6    7 ]        row 0 due at tick 20

Ticks that nobody owns are starved: the robot holds.

The same in code:

>>> timeline, rows = Timeline(), np.zeros((12, 14))
>>> timeline.merge(PlacedChunk.place(4, rows, capture_tick=12, start_tick=12, takeover_tick=14))
>>> timeline.merge(PlacedChunk.place(5, rows, capture_tick=20, start_tick=20, takeover_tick=23))
>>> [(slot.chunk.chunk_id, slot.index) for slot in map(timeline.at, (22, 23, 24))]
[(4, 10), (5, 3), (5, 4)]

Beside what it owns, every chunk keeps the ticks that it has actions for, until it is cut: an
ensembling strategy reads all chunks that cover a tick (`Timeline.covering`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PlacedChunk:
    """A chunk and the ticks it owns.

    Attributes:
        chunk_id: Number of the inference that made it.
        actions: (T, 14) absolute targets, read-only.
        capture_tick: Tick of the observation it was computed from.
        start_tick: Tick for which row 0 is due; equals ``capture_tick`` when time-aligned.
        takeover_tick: First tick it owns.
        end_tick: First tick it no longer owns.
    """

    chunk_id: int
    actions: NDArray[np.float64]
    capture_tick: int
    start_tick: int
    takeover_tick: int
    end_tick: int

    @classmethod
    def place(
        cls,
        chunk_id: int,
        actions: NDArray[np.float64],
        *,
        capture_tick: int,
        start_tick: int,
        takeover_tick: int,
    ) -> PlacedChunk:
        """Lets a chunk own all its rows from ``takeover_tick`` on."""
        if takeover_tick < start_tick:
            raise ConfigError(
                f"chunk {chunk_id}: expected takeover at or after row 0 (tick {start_tick}), "
                f"got tick {takeover_tick}"
            )
        end_tick = max(takeover_tick, start_tick + len(actions))
        return cls(chunk_id, actions, capture_tick, start_tick, takeover_tick, end_tick)


@dataclass(frozen=True, slots=True)
class Slot:
    """The action of one tick: row ``index`` of ``chunk``."""

    chunk: PlacedChunk
    index: int


class Timeline:
    """Future actions of one robot; asked about the present and the future only."""

    def __init__(self) -> None:
        self._segments: list[PlacedChunk] = []
        self._placed: list[PlacedChunk] = []

    def branch(self) -> Timeline:
        """A timeline that goes on from here by itself; the chunks are shared."""
        branch = Timeline()
        branch._segments, branch._placed = list(self._segments), list(self._placed)
        return branch

    def at(self, tick: int) -> Slot | None:
        """Action of a tick, or None when the tick is starved."""
        for segment in reversed(self._segments):
            if segment.takeover_tick <= tick:
                if tick < segment.end_tick:
                    return Slot(segment, tick - segment.start_tick)
                return None
        return None

    def covering(self, tick: int) -> tuple[Slot, ...]:
        """Every chunk with an action for a tick, oldest first; empty when the tick is starved.

        The last slot is the owner's, see `at`. A chunk that arrived after ``tick`` is not there.
        """
        owner = self.at(tick)
        if owner is None:
            return ()
        older = (
            Slot(chunk, tick - chunk.start_tick)
            for chunk in self._placed
            if chunk.takeover_tick <= tick < chunk.end_tick
            and chunk.chunk_id != owner.chunk.chunk_id
        )
        return (*older, owner)

    def next_index(self, tick: int) -> int | None:
        """Row that is due at ``tick``, or None when the tick is starved."""
        slot = self.at(tick)
        return None if slot is None else slot.index

    def remaining(self, tick: int) -> int:
        """Number of consecutive ticks from ``tick`` on that have an action."""
        end = tick
        for segment in self._segments:
            if segment.takeover_tick <= end < segment.end_tick:
                end = segment.end_tick
        return end - tick

    def committed(self, tick: int, steps: int) -> NDArray[np.float64]:
        """The next actions that will be executed if nothing new arrives.

        Args:
            tick: First tick asked for.
            steps: Number of ticks asked for.

        Returns:
            (m, 14) actions for ticks ``tick .. tick + m - 1``; m < steps where starvation begins.
        """
        parts = []
        end = tick
        for segment in self._segments:
            if segment.takeover_tick <= end < segment.end_tick and end < tick + steps:
                stop = min(segment.end_tick, tick + steps)
                parts.append(segment.actions[end - segment.start_tick : stop - segment.start_tick])
                end = stop
        if not parts:
            return np.empty((0, ENV_ACTION_DIM))
        return np.concatenate(parts)

    def merge(self, chunk: PlacedChunk) -> None:
        """Gives ``chunk`` every tick from its takeover on; older chunks keep what lies before."""
        self._segments = [*_until(self._segments, chunk.takeover_tick), chunk]
        self._placed.append(chunk)

    def cut(self, tick: int) -> None:
        """Takes every tick from ``tick`` on away from all chunks."""
        self._segments = _until(self._segments, tick)
        self._placed = _until(self._placed, tick)

    def forget(self, before_tick: int) -> None:
        """Drops chunks that own nothing at or after ``before_tick``."""
        self._segments = [s for s in self._segments if s.end_tick > before_tick]
        self._placed = [s for s in self._placed if s.end_tick > before_tick]


def _until(chunks: list[PlacedChunk], tick: int) -> list[PlacedChunk]:
    """The chunks without their ticks from ``tick`` on."""
    return [
        chunk if chunk.end_tick <= tick else replace(chunk, end_tick=tick)
        for chunk in chunks
        if chunk.takeover_tick < tick
    ]
