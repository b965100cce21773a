"""Closings at one place, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.repetition import closings, most_closings


def test_a_jaw_closes_when_it_was_told_open_before():
    assert closings([0.0, 0.0, 1.0, 0.5, 0.1, 0.5, 0.2, 0.9, 0.0]).tolist() == [4, 8]
    assert closings([0.5, 0.1, 0.5, 0.3]).tolist() == []
    assert closings([1.0, 0.6, 0.4, 0.6, 0.4]).tolist() == []
    assert closings([]).tolist() == []


def test_closings_count_by_hand_and_place():
    jaws = np.ones((40, 2))
    tools = np.zeros((40, 2, 3))
    jaws[4::8, 0] = 0.0  # five closings of the left hand
    tools[:, 0, 0] = np.repeat([0.0, 0.04, 0.5, 0.02, 1.0], 8)
    jaws[4::20, 1] = 0.0  # two of the right one
    assert most_closings(jaws, tools) == 3
    tools[:, 0, 0] = np.repeat([0.0, 0.06, 0.12, 0.18, 0.24], 8)
    assert most_closings(jaws, tools) == 2  # the right hand's
    assert most_closings(jaws[:3], tools[:3]) == 0
    with pytest.raises(ConfigError, match=r"got \(40, 2\) and \(40, 6\)"):
        most_closings(jaws, tools.reshape(40, 6))
