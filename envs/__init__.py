"""Gymnasium environments. Importing this package registers their ids, by string, and loads nothing.

``xr0_sim/BlockDismantling-v0`` – two arms take a brick assembly apart and sort the bricks.
``xr0_sim/TowelFolding-v0`` – two arms fold a towel.
"""

from envs.scene.gl import select_backend

# MuJoCo reads MUJOCO_GL when it is imported, so the backend is chosen here, before any env is.
select_backend()

from envs.registration import ENV_IDS, register_gym_id  # noqa: E402

for _task in ENV_IDS:
    register_gym_id(_task)

__all__ = ["ENV_IDS", "register_gym_id"]
