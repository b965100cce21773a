"""How far the tools are from where the command of the tick sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policies.scripted.motion import reference_joints
from xr0_sim.conventions import ARMS

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv


def tool_errors_mm(env: DualArmEnv) -> list[float]:
    """Distance of either tool from the forward kinematics of its command [mm].

    What a servo is known to trail and to sag by is taken off the command, as the expert does.
    """
    wanted, _ = env.kinematics.forward(reference_joints(env.kinematics, env.robot_state()))
    tools = np.array([env.data.site(f"{arm}/tool").xpos for arm in ARMS])
    return (1e3 * np.linalg.norm(wanted - tools, axis=1)).tolist()
