"""Dense and sparse constraint algebra give the same accelerations on states of every scene.

MuJoCo 4.0.0's sparse Newton solver is wrong in some scenes (upstream report 3767), which is why
rigid scenes ask for the dense one. On the states sampled here both agree; a version that breaks
this shows up as a failure, and one that is reported fixed lets the guard go.
"""

import mujoco
import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.towel_folding.env import TowelFoldingEnv
from experiments.benchmarks.physics.solver import disagreement
from policies.scripted.experts import make_expert

AGREEMENT = 1e-8
"""Relative, by Newton's method."""
ROUNDING = 1e-6
"""The same by conjugate gradients: rounding grows through their iterations."""
STOPPED = 0.05
"""The same where their number of iterations differs, on a thousand contacts of layer on layer."""
DENSE = int(mujoco.mjtJacobian.mjJAC_DENSE)
NEWTON, CG = int(mujoco.mjtSolver.mjSOL_NEWTON), int(mujoco.mjtSolver.mjSOL_CG)


def of_env(env):
    return disagreement(env.model, env.data)


def test_rigid_scenes_ask_for_the_dense_newton_solver():
    env = BlockDismantlingEnv(n_bricks=16, observation="state")
    env.reset_scene(0, {})
    assert (env.model.opt.solver, env.model.opt.jacobian) == (NEWTON, DENSE)
    assert env.model.nv >= 60  # where "auto" would turn sparse


def test_cloth_asks_for_conjugate_gradients_with_enough_iterations():
    env = TowelFoldingEnv(observation="state")
    env.reset_scene(0, {})
    assert env.model.opt.solver == CG and env.model.opt.iterations >= 50


@pytest.mark.parametrize(
    ("env", "limit"),
    [
        (BlockDismantlingEnv(n_bricks=16, observation="state"), ROUNDING),
        (TowelFoldingEnv(observation="state", material="soft"), ROUNDING),
        (TowelFoldingEnv(observation="state", material="layered"), STOPPED),
    ],
    ids=["blocks", "soft", "layered"],
)
def test_dense_and_sparse_agree_while_the_expert_works(env, limit):
    expert = make_expert(env)
    env.reset_scene(0, {})
    by_newton = as_solved = 0.0
    for tick in range(100):
        env.advance(expert.action(env.robot_state(), env.privileged()))
        if tick % 8 == 0:
            by_newton = max(by_newton, disagreement(env.model, env.data, NEWTON))
            as_solved = max(as_solved, of_env(env))
    assert by_newton < AGREEMENT and as_solved < limit


def test_dense_and_sparse_agree_in_a_tumble():
    env = BlockDismantlingEnv(n_bricks=16, observation="state")
    worst = 0.0
    for seed in range(3):
        env.reset_scene(seed, {})
        env.open_clutches()
        rng = np.random.default_rng(seed)
        free = env.model.jnt_dofadr[env.model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE)]
        for first in free:
            env.data.qvel[first : first + 3] = rng.normal(0, 0.6, 3)
            env.data.qvel[first + 3 : first + 6] = rng.normal(0, 6.0, 3)
        for step in range(160):
            mujoco.mj_step(env.model, env.data)
            if step % 10 == 9:
                worst = max(worst, of_env(env))
    assert worst < AGREEMENT
