"""Scattered bricks: on the table, apart from each other, and the running episode untouched."""

from __future__ import annotations

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from policies.supervision.block_rearrangement import ScatterConfig, scatter


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=3, observation="state")


@pytest.mark.parametrize("seed", range(4))
def test_scattered_bricks_rest_on_the_table_apart(env, seed):
    config = ScatterConfig(apart_share=1.0, tipped_share=0.5, near_share=0.0, kept_share=0.0)
    env.reset_scene(seed)
    before = env.snapshot()
    with env.rehearsal():
        assert scatter(env, config, np.random.default_rng(seed))
        state = env.privileged()
        assert not state.joined.any()
        gaps = np.linalg.norm(state.pos[:, None, :2] - state.pos[None, :, :2], axis=-1)
        assert gaps[np.triu_indices(3, 1)].min() > 0.9 * config.spacing
        assert (state.pos[:, 2] > 0.005).all() and (state.pos[:, 2] < 0.05).all()
        assert np.abs(env.data.qvel[env._brick_dof]).max() < 0.5
    assert np.array_equal(before.physics, env.snapshot().physics)


def test_a_group_keeps_its_shape_and_stands_upright_where_it_is_set_down(env):
    env.reset_scene(1)
    group = env.cluster(0)
    old = env.privileged().pos[group]
    env.set_down(group, np.array([0.05, -0.1]), 0.7)
    new = env.privileged().pos[group]
    assert np.allclose(new[0, :2], [0.05, -0.1])
    pairs = np.triu_indices(len(group), 1)
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1)[pairs] for p in (old, new)]
    assert np.allclose(*distances, atol=1e-9)
    axis = env.privileged().quat[group[0]]
    assert np.allclose(axis, [np.cos(0.35), 0, 0, np.sin(0.35)], atol=1e-9)
    lowest = (env.privileged().pos[:, 2] - env._half_size[:, 2]).min()
    assert lowest == pytest.approx(0.0, abs=1e-9)
