"""How often samples are drawn while training, by where they come from."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.commands.train import weigh_sources
from xr0_sim.errors import ConfigError


class Store:
    sources = ("demo", "late_look", "first_look")

    def __init__(self):
        self.columns = {"source": np.array([0, 1, 2, 1]), "weight": np.ones(4, np.float32)}

    def column(self, name):
        return self.columns[name]


@pytest.mark.parametrize(
    ("single", "expected"),
    [
        ("", [1, 2, 2, 2]),
        ("first_look=8", [1, 2, 8, 2]),
        ("first_look=8,demo=0.5,late_look=0", [0.5, 0, 8, 0]),
    ],
)
def test_single_sources_stand_in_for_the_common_weight(single, expected):
    store = Store()
    weigh_sources(store, 2.0, single)
    np.testing.assert_array_equal(store.column("weight"), np.float32(expected))


@pytest.mark.parametrize("single", ["first_look", "first=8", "demo=-1", "demo=nan", "demo=inf"])
def test_a_weight_that_is_none_is_one_line(single):
    store = Store()
    with pytest.raises(ConfigError, match="expected SOURCE=WEIGHT with a source of the store"):
        weigh_sources(store, 2.0, single)
    assert (store.column("weight") == 1).all()
