"""How far the tools are from where the command of the tick wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from envs.robot.actions import split_arms
from xr0_sim.conventions import ARMS

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv


def tool_errors_mm(env: DualArmEnv) -> list[float]:
    """Distance of either tool from the forward kinematics of its command [mm]."""
    joints, _ = split_arms(env.robot_state().command)
    wanted, _ = env.kinematics.forward(joints)
    tools = np.array([env.data.site(f"{arm}/tool").xpos for arm in ARMS])
    return (1e3 * np.linalg.norm(wanted - tools, axis=1)).tolist()
