"""Shape of a hand that comes tilted from its own side of the table, and where it grips."""

from __future__ import annotations

import math

TILT = math.radians(70.0)
"""Angle of the approach direction below the horizontal [rad].

Near 45° the forearm and the hand line up and the wrist is singular; at 70° it bends by 30° or more
wherever the task takes it."""
FINGER_HALF_WIDTH = 0.0085
TIP_REACH = 0.008
"""Length of the finger in front of the grasp point [m], margin included."""
PALM_DISTANCE = 0.066
PALM_LENGTH = 0.10
PALM_HALF_HEIGHT = 0.019
MAX_GRASP_WIDTH = 0.066
PAD_REACH = 0.008
"""Half extent of a tilted pad along the object [m]."""
HANDS_APART = 0.0145
"""Smallest gap along y between two hands that grip near the same height [m]."""

SIDES = {"left": 1.0, "right": -1.0}
"""Sign of the y direction an arm comes from."""


def grasp_offset_y(half_length_y: float) -> float:
    """Distance of the grasp point from an object's middle towards the arm [m].

    A hand grips as far on its own side as the pad allows, so that the other hand finds room.
    """
    return half_length_y - PAD_REACH
