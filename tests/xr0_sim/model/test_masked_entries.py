"""Entries that a robot type does not use, and images at the limit of their size."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.model.spec.image_rules import MAX_PIXELS, fitted_size
from xr0_sim.model.spec.robot_schema import RobotSchema


def test_unused_entries_are_zero_whatever_they_held():
    std = np.zeros((4, 32))
    std[:, :7] = 0.5
    schema = RobotSchema("one_arm", np.full((4, 32), 0.25), std)
    scaled = schema.encode(np.full((3, 32), 0.75))
    np.testing.assert_allclose(scaled[:, :7], 1.0, rtol=1e-4)
    assert (scaled[:, 7:] == 0).all()


@pytest.mark.parametrize(
    ("height", "width", "fitted"),
    [(304, 296, (288, 288)), (296, 304, (288, 288)), (300, 300, None)],
)
def test_rounding_up_never_exceeds_the_largest_image(height, width, fitted):
    found = fitted_size(height, width)
    assert found[0] * found[1] <= MAX_PIXELS
    assert fitted is None or found == fitted
