"""How often samples are drawn while training, by where they come from and who labelled them."""

from __future__ import annotations

import numpy as np
import pytest
from small_store import META, sample

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.errors import ConfigError
from xr0_sim.training.source_weights import weigh_sources

ROWS = [("demo", "a1"), ("late_look", "a1"), ("late_look", "b2"), ("first_look", "b2")]


@pytest.fixture
def store(tmp_path):
    for seed, (source, commit) in enumerate(ROWS):
        with ChunkWriter(tmp_path, META, f"x{seed}", origin={"commit": commit}) as writer:
            writer.add(**sample(seed) | {"source": source})
    return ChunkStore(tmp_path)


@pytest.mark.parametrize(
    ("single", "expected"),
    [
        ("", [1, 2, 2, 2]),
        ("first_look=8", [1, 2, 2, 8]),
        ("first_look=8,demo=0.5,late_look=0", [0.5, 0, 0, 8]),
        ("late_look@b2=3", [1, 2, 3, 2]),
        ("late_look@b=0,late_look=5", [1, 5, 0, 2]),
    ],
)
def test_single_sources_stand_in_for_the_common_weight(store, single, expected):
    weigh_sources(store, 2.0, single)
    np.testing.assert_array_equal(store.column("weight"), np.float32(expected))


@pytest.mark.parametrize(
    "single", ["first_look", "first=8", "demo=-1", "demo=nan", "demo=inf", "demo@=2", "x@a1=2"]
)
def test_a_weight_that_is_none_is_one_line(store, single):
    with pytest.raises(ConfigError, match=r"expected SOURCE=WEIGHT or .* source of the store"):
        weigh_sources(store, 2.0, single)
    assert (store.column("weight") == 1).all()


def test_a_commit_that_labelled_none_of_a_source_is_one_line(store):
    with pytest.raises(ConfigError, match="expected a commit of demo, a1, got 'b2'"):
        weigh_sources(store, 2.0, "demo@b2=2")
    assert (store.column("weight") == 1).all()
