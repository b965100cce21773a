"""Which of the 14 columns of an action are joints [rad] and which are jaws [opening fraction]."""

from __future__ import annotations

import numpy as np

from xr0_sim.conventions import ARM_ACTION_DIM, ARMS, ENV_ACTION_DIM, JOINTS_PER_ARM

IS_JAW = np.arange(ENV_ACTION_DIM) % ARM_ACTION_DIM == JOINTS_PER_ARM
JOINT_COLUMNS = np.flatnonzero(~IS_JAW)
JAW_COLUMNS = np.flatnonzero(IS_JAW)

COLUMN_NAMES = tuple(
    f"{arm}_{'jaw' if i == JOINTS_PER_ARM else f'joint{i}'}"
    for arm in ARMS
    for i in range(ARM_ACTION_DIM)
)
"""For example ``left_joint0`` ... ``left_jaw`` ... ``right_jaw``, in action order."""
