"""What XR-0 answers beyond a prefix: refreshes, samples, guides, noise by tick, a rolled body."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.robot.actions import split_arms
from policies.xr0.chunk_model import XR0ChunkModel
from xr0_sim.errors import ConfigError
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.types import ChunkRequest, Guide

HORIZON = 30
SEED = (5, 2)
NOTHING = np.zeros((0, 14))


@pytest.fixture(scope="module")
def policy():
    config = preset_config("nano", action_length=HORIZON, state_layout="motion", prefix_max=6)
    return random_policy_model(config, seed=3)


@pytest.fixture(scope="module")
def model(policy):
    # Joints as predicted: inverse kinematics of random weights would magnify rounding.
    return XR0ChunkModel(policy, "joint", temperature=1.0)


@pytest.fixture(scope="module")
def seen():
    """Two moments of one scene, five ticks apart."""
    env = BlockDismantlingEnv(n_bricks=2, image_size=64)
    env.reset_scene(0)
    first = env.observe()
    for _ in range(5):
        env.advance(env.robot_state().command + 0.02)
    return first, env.observe()


def plain(model, observation):
    return model.infer(observation, NOTHING, SEED)


def test_in_graphs_every_request_gives_the_same_rows(policy, model, seen):
    graphs = XR0ChunkModel(replace(policy, graph=True), "joint", temperature=1.0)
    before, now = seen
    memories = [plain(one, before).memory for one in (model, graphs)]
    for memory, one in zip(memories, (model, graphs), strict=True):
        plain(one, now)  # overwrites what graphs keep, but no memory
        requests = [
            ChunkRequest(now, noise_seed=SEED),
            ChunkRequest(now, noise_seed=SEED, prefix=before.robot.command[None]),
            ChunkRequest(now, noise_seed=SEED, refresh=0, memory=memory),
            ChunkRequest(now, noise_seed=SEED, samples=2),
        ]
        rows = [chunk.actions for request in requests for chunk in one.infer_request(request)]
        if one is model:
            wanted = rows
    np.testing.assert_allclose(np.array(rows), np.array(wanted), atol=1e-4)
    both = [ChunkRequest(frame, noise_seed=SEED) for frame in seen]
    found = [chunk.actions for chunk in graphs.infer_batch(both)]
    expected = [chunk.actions for chunk in model.infer_batch(both)]
    np.testing.assert_allclose(np.array(found), np.array(expected), atol=1e-4)


def test_a_refresh_takes_the_old_pictures_and_the_new_body(model, seen):
    before, now = seen
    memory = plain(model, before).memory
    found = model.infer_request(ChunkRequest(now, noise_seed=SEED, refresh=0, memory=memory))[0]
    wanted = plain(model, replace(now, images=before.images))
    np.testing.assert_array_equal(found.actions, wanted.actions)
    assert not np.array_equal(found.actions, plain(model, now).actions)
    with pytest.raises(ConfigError, match="expected the memory of an inference"):
        model.infer_request(ChunkRequest(now, noise_seed=SEED, refresh=0))


def test_samples_differ_and_the_first_is_the_plain_chunk(model, seen):
    chunks = model.infer_request(ChunkRequest(seen[0], noise_seed=SEED, samples=3))
    assert len(chunks) == 3
    np.testing.assert_allclose(chunks[0].actions, plain(model, seen[0]).actions, atol=1e-6)
    assert not np.allclose(chunks[1].actions, chunks[2].actions)
    again = model.infer_request(ChunkRequest(seen[0], noise_seed=SEED, samples=3))
    np.testing.assert_array_equal(again[2].actions, chunks[2].actions)


def test_samples_without_noise_are_refused(policy, seen):
    with pytest.raises(ConfigError, match="--temperature 1"):
        XR0ChunkModel(policy, temperature=0.0).infer_request(ChunkRequest(seen[0], samples=2))


def test_guidance_without_noise_is_told_once(policy, seen):
    cold = XR0ChunkModel(policy, "joint", temperature=0.0)
    request = ChunkRequest(seen[0], guide=Guide(seen[0].robot.command[None], np.ones(1)))
    with pytest.warns(UserWarning, match="--temperature 1"):
        cold.infer_request(request)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cold.infer_request(request)


def test_noise_by_tick_moves_up_with_the_ticks(policy):
    first, later = policy.noise([(7,)], 10)[0], policy.noise([(7,)], 15)[0]
    np.testing.assert_array_equal(later[:-5], first[5:])
    assert not np.array_equal(policy.noise([(8,)], 10)[0], first)
    assert abs(float(policy.noise([(s,) for s in range(40)], 0).std()) - 1) < 0.02


def test_noise_by_tick_is_what_the_request_asks_for(model, seen):
    by_tick = ChunkRequest(seen[0], noise_seed=(5, 2), noise="tick")
    other = replace(by_tick, noise_seed=(5, 3))
    found = [model.infer_request(request)[0].actions for request in (by_tick, other)]
    np.testing.assert_array_equal(*found)
    assert not np.array_equal(found[0], plain(model, seen[0]).actions)
    later = replace(by_tick, observation=replace(seen[0], tick=6))
    assert not np.array_equal(found[0], model.infer_request(later)[0].actions)


def test_assumed_actions_put_the_body_where_they_lead(model, seen):
    observation = seen[0]
    held = observation.robot.jaw * [0.0, 1.0] + [0.3, 0.0]
    command = observation.robot.command.copy()
    command[[6, 13]] = 0.0, held[1]
    observation = replace(observation, robot=replace(observation.robot, jaw=held, command=command))
    assumed = command + np.linspace(0.01, 0.05, 5)[:, None]
    assumed[:, 6] = 0.0
    found = model.infer_request(ChunkRequest(observation, noise_seed=SEED, assumed=assumed))[0]
    joints, jaws = split_arms(assumed[-1:])
    position, quaternion = model._kinematics.forward(joints[0])
    assert held[1] > 0.1
    robot = replace(
        observation.robot,
        joint_pos=joints[0],
        joint_vel=(joints[0] - split_arms(assumed[-2:-1])[0][0]) * 30,
        jaw=[0.3, jaws[0, 1]],  # the left one is held open, the right one goes where it is told
        tool_pos=position,
        tool_quat=quaternion,
        command=assumed[-1],
    )
    wanted = plain(model, replace(observation, robot=robot))
    np.testing.assert_allclose(found.actions, wanted.actions, atol=1e-9)
    assert found.first_tick == observation.tick


def test_a_guide_without_weight_changes_nothing_and_with_weight_pulls(model, seen):
    free = plain(model, seen[0]).actions
    plan = free[:12] + 0.02
    far = []
    for weight in (0.0, 1.0):
        guide = Guide(plan, np.full(12, weight), strength=0.5)
        request = ChunkRequest(seen[0], noise_seed=SEED, guide=guide)
        found = model.infer_request(request)[0].actions
        far.append(found)
    np.testing.assert_allclose(far[0], free, atol=1e-4)
    assert not np.allclose(far[1], free, atol=1e-4)


def test_a_batch_answers_only_prefixes(model, seen):
    with pytest.raises(ConfigError, match="leave batched out"):
        model.infer_batch([ChunkRequest(seen[0], samples=2)])
