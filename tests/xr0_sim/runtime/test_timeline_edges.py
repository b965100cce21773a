"""The timeline at its edges: first and last ticks, part of a chunk, the joint of two chunks."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.runtime.timeline import PlacedChunk, Timeline


def chunk(number, rows, start, takeover):
    """A chunk whose action in row i is 100 * number + i."""
    actions = np.repeat(100.0 * number + np.arange(rows)[:, None], ENV_ACTION_DIM, axis=1)
    return PlacedChunk.place(
        number, actions, capture_tick=start, start_tick=start, takeover_tick=takeover
    )


@pytest.fixture
def timeline():
    """Chunk 1 supplies ticks 20 .. 22 from row 0 on, chunk 2 ticks 23 .. 26 from row 3 on."""
    timeline = Timeline()
    timeline.merge(chunk(1, 6, 20, 20))
    timeline.merge(chunk(2, 7, 20, 23))
    return timeline


SUPPLIED = {20: 100, 21: 101, 22: 102, 23: 203, 24: 204, 25: 205, 26: 206}


def test_every_tick_from_the_first_to_the_last_has_its_row(timeline):
    found = {}
    for tick in range(18, 30):
        slot = timeline.at(tick)
        if slot is not None:
            found[tick] = int(slot.chunk.actions[slot.index, 0])
    assert found == SUPPLIED


@pytest.mark.parametrize("tick", [19, 20, 22, 23, 26, 27])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 7, 50])
def test_as_many_committed_rows_as_asked_for_and_there_are(timeline, tick, steps):
    wanted = [SUPPLIED[t] for t in range(tick, tick + steps) if t in SUPPLIED and tick in SUPPLIED]
    assert timeline.committed(tick, steps)[:, 0].tolist() == wanted
    assert timeline.committed(tick, steps).shape == (len(wanted), ENV_ACTION_DIM)


def test_ticks_left_are_counted_across_the_joint(timeline):
    assert [timeline.remaining(tick) for tick in range(19, 28)] == [0, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("tick", [20, 22, 23, 24, 26, 27])
def test_a_cut_leaves_the_tick_before_and_takes_the_tick_itself(timeline, tick):
    timeline.cut(tick)
    assert [t for t in range(18, 30) if timeline.at(t)] == [t for t in SUPPLIED if t < tick]


@pytest.mark.parametrize("tick", [22, 23, 24, 26, 27])
def test_what_is_still_due_is_not_forgotten(timeline, tick):
    timeline.forget(tick)
    assert [t for t in range(tick, 30) if timeline.at(t)] == [t for t in SUPPLIED if t >= tick]


def test_a_chunk_that_arrives_after_its_last_row_supplies_nothing():
    timeline = Timeline()
    timeline.merge(chunk(1, 10, 0, 0))
    timeline.merge(chunk(2, 3, 0, 5))
    assert [t for t in range(12) if timeline.at(t)] == [0, 1, 2, 3, 4]
