"""The timeline against a dictionary from ticks to (chunk, row)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.runtime.timeline import PlacedChunk, Timeline

LAST = 80


def chunk(chunk_id, rows, start, takeover):
    actions = np.full((rows, ENV_ACTION_DIM), float(chunk_id))
    actions[:, 1] = np.arange(rows)
    return PlacedChunk.place(
        chunk_id, actions, capture_tick=start, start_tick=start, takeover_tick=takeover
    )


operations = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), st.integers(1, 20), st.integers(0, 50), st.integers(0, 25)),
        st.tuples(st.just("cut"), st.integers(0, 60)),
    ),
    max_size=8,
)


def build(ops):
    timeline, model = Timeline(), {}
    for number, (kind, *args) in enumerate(ops):
        if kind == "cut":
            timeline.cut(args[0])
            model = {tick: slot for tick, slot in model.items() if tick < args[0]}
            continue
        rows, start, skipped = args
        timeline.merge(chunk(number, rows, start, start + skipped))
        model = {tick: slot for tick, slot in model.items() if tick < start + skipped}
        model |= {start + i: (number, i) for i in range(skipped, rows)}
    return timeline, model


@given(operations)
def test_every_tick_has_the_action_of_its_owner(ops):
    timeline, model = build(ops)
    for tick in range(LAST):
        slot = timeline.at(tick)
        found = None if slot is None else (slot.chunk.chunk_id, slot.index)
        assert found == model.get(tick)
        assert timeline.next_index(tick) == (found[1] if found else None)


@given(operations, st.integers(0, LAST), st.integers(0, 30))
def test_committed_is_what_the_ticks_would_give(ops, tick, steps):
    timeline, model = build(ops)
    expected = []
    while tick + len(expected) in model and len(expected) < steps:
        expected.append(model[tick + len(expected)])
    got = timeline.committed(tick, steps)
    assert got.shape == (len(expected), ENV_ACTION_DIM)
    assert [(int(a[0]), int(a[1])) for a in got] == expected
    left = 0
    while tick + left in model:
        left += 1
    assert timeline.remaining(tick) == left


@given(operations, st.integers(0, LAST))
def test_forgetting_the_past_changes_nothing_ahead(ops, now):
    timeline, model = build(ops)
    timeline.forget(now)
    for tick in range(now, LAST):
        slot = timeline.at(tick)
        assert (None if slot is None else (slot.chunk.chunk_id, slot.index)) == model.get(tick)


def test_committed_is_a_copy():
    timeline, _ = build([("merge", 5, 0, 0)])
    timeline.committed(0, 3)[:] = 7
    assert timeline.at(0).chunk.actions[0, 0] == 0


def test_a_chunk_cannot_take_over_before_its_first_row():
    with pytest.raises(ConfigError, match="expected takeover at or after row 0"):
        chunk(0, 5, 10, 9)
