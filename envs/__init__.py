"""Gymnasium environments. Importing this package registers their ids, by string, and loads nothing.

``xr0_sim/BlockDismantling-v0`` – two arms take a brick assembly apart and sort the bricks.
``xr0_sim/TowelFolding-v0`` – two arms fold a towel.
"""

from gymnasium.envs.registration import register

from envs.scene.gl import select_backend

ENV_IDS = {
    "block_dismantling": "xr0_sim/BlockDismantling-v0",
    "towel_folding": "xr0_sim/TowelFolding-v0",
}
"""Short task name -> registered id."""

# MuJoCo reads MUJOCO_GL when it is imported, so the backend is chosen here, before any env is.
select_backend()
register(
    id=ENV_IDS["block_dismantling"],
    entry_point="envs.block_dismantling.env:BlockDismantlingEnv",
    max_episode_steps=1200,
)
register(
    id=ENV_IDS["towel_folding"],
    entry_point="envs.towel_folding.env:TowelFoldingEnv",
    max_episode_steps=1200,
)

__all__ = ["ENV_IDS"]
