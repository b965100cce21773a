"""What a camera cannot tell makes no difference to the block expert."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.block_dismantling.bricks import HEIGHT, PITCH
from envs.block_dismantling.env import BlockDismantlingEnv
from policies.scripted.blocks.clusters import as_seen
from policies.scripted.blocks.expert import BlockExpert
from xr0_sim.rotations import quat_from_rotvec, quat_multiply, quat_rotate


@pytest.fixture(scope="module")
def env():
    made = BlockDismantlingEnv(n_bricks=2, observation="state")
    yield made
    made.close()


def loosened(env, seed):
    """The joined pair of a new scene, and the same with its clutch open."""
    env.reset_scene(seed)
    state = env.privileged()
    return state, replace(state, joined=np.zeros_like(state.joined))


def moved(state, offset, turn=0.0):
    """Brick 1 shifted and turned in its own frame."""
    pos, quat = state.pos.copy(), state.quat.copy()
    pos[1] += quat_rotate(quat[1], np.asarray(offset))
    quat[1] = quat_multiply(quat[1], quat_from_rotvec(np.array([0.0, 0.0, turn])))
    return replace(state, pos=pos, quat=quat)


@pytest.mark.parametrize("seed", range(6))
def test_a_pair_whose_clutch_is_open_is_planned_for_as_a_joined_one(env, seed):
    joined, loose = loosened(env, seed)
    np.testing.assert_array_equal(as_seen(loose).joined, joined.joined)
    expert = BlockExpert(env.kinematics)
    robot = env.robot_state()
    np.testing.assert_array_equal(expert.action(robot, loose), expert.action(robot, joined))
    assert {job.kind for job in expert.jobs} == {"take", "hold"}


def test_what_can_be_told_apart_stays_apart(env):
    _, loose = loosened(env, 0)
    assert as_seen(moved(loose, (0.002, 0.0, 0.001))).joined.any()
    for offset, turn in (
        ((0.006, 0.0, 0.0), 0.0),
        ((0.0, 0.0, 0.004), 0.0),
        ((0.0, 0.0, 0.0), 0.15),
        ((0.0, 0.0, -HEIGHT), 0.0),
        ((6 * PITCH, 0.0, 0.0), 0.0),
    ):
        assert not as_seen(moved(loose, offset, turn)).joined.any(), (offset, turn)
    assert not as_seen(replace(loose, in_bin=np.zeros_like(loose.in_bin))).joined.any()
    assert not as_seen(replace(loose, gripped=np.array([1, -1]))).joined.any()
    lower = int(np.argmin(loose.pos[:, 2]))
    tipped = quat_from_rotvec(np.array([np.pi / 2, 0.0, 0.0]))
    quat = np.stack([quat_multiply(tipped, q) for q in loose.quat])
    pos = loose.pos[lower] + quat_rotate(tipped, loose.pos - loose.pos[lower])
    assert as_seen(replace(loose, pos=pos, quat=quat)).joined.any(), "whichever way up"
