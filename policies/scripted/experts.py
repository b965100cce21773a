"""Which scripted expert belongs to which task."""

from __future__ import annotations

from collections.abc import Callable

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.dual_arm import DualArmEnv
from envs.robot.kinematics import DualArmKinematics
from envs.towel_folding.env import TowelFoldingEnv
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.expert import ScriptedExpert
from policies.scripted.towel.expert import TowelExpert
from xr0_sim.errors import ConfigError

EXPERTS: dict[type[DualArmEnv], Callable[[DualArmKinematics], ScriptedExpert]] = {
    BlockDismantlingEnv: BlockExpert,
    TowelFoldingEnv: TowelExpert,
}


def make_expert(env: DualArmEnv) -> ScriptedExpert:
    """The expert of an environment's task."""
    for kind, expert in EXPERTS.items():
        if isinstance(env, kind):
            return expert(env.kinematics)
    known = ", ".join(kind.__name__ for kind in EXPERTS)
    raise ConfigError(f"scripted expert: expected one of {known}, got {type(env).__name__}")
