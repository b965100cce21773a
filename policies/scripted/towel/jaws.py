"""How far jaws open on the way to the towel and on the way off, and how to tell them apart."""

from __future__ import annotations

import numpy as np

from envs.towel_folding.contacts import NOTHING
from envs.towel_folding.state import TowelState
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.types import RobotState

GRASP_JAW = 0.40
"""Opening on the way down."""
RELEASE_JAW = 0.28
JAW_SLACK = 0.02
"""Opening by which a jaw that is told to let go may differ from that."""


def closing(robot: RobotState, state: TowelState) -> bool:
    """Whether a hand that holds nothing is at the towel to pinch it, not on its way off.

    A jaw that shuts passes the opening of hands that leave.
    """
    told = robot.command[ARM_ACTION_DIM - 1 :: ARM_ACTION_DIM]
    opens = (np.abs(told - RELEASE_JAW) < JAW_SLACK) & (told > robot.jaw - 2.0 * JAW_SLACK)
    off = opens | (told > GRASP_JAW + JAW_SLACK)
    return bool((state.touched & (state.held == NOTHING) & ~off).any())
