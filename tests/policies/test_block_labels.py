"""Grounding labels of block dismantling: what is where, and what the expert intends."""

from __future__ import annotations

import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs.block_dismantling.bricks import COLOURS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.block_dismantling.state import NO_BRICK
from envs.camera_labels import picture_points
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.blocks.plan import JOB_KINDS
from policies.supervision.block_labels import (
    block_grounding,
    block_grounding_spec,
)
from policies.supervision.labels import BASE, GOAL_SCALE, NEAR_SCALE
from xr0_sim.conventions import ARMS, CAMERAS

SPEC = block_grounding_spec()
SLOTS = SPEC.slots()


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


@pytest.fixture(scope="module")
def expert(env):
    return BlockExpert(env.kinematics)


def labels(env, expert):
    """Name -> value, for what is not masked."""
    vector, mask = block_grounding(env, expert, SPEC)
    return {name: vector[at] for name, at in SLOTS.items() if mask[at].all()}


def frames(env, expert, seed, ticks, every):
    env.reset_scene(seed)
    for tick in range(ticks):
        if tick % every == 0:
            yield block_grounding(env, expert, SPEC)
        env.advance(expert.action(env.robot_state(), env.privileged()))


def test_the_layout_covers_the_vector_once(env, expert):
    covered = np.zeros(SPEC.width, int)
    for place in SLOTS.values():
        covered[place] += 1
    assert (covered == 1).all()
    env.reset_scene(0)
    vector, mask = block_grounding(env, expert, SPEC)
    assert vector.shape == mask.shape == (SPEC.width,)
    assert (vector.dtype, mask.dtype) == (np.float32, np.bool_)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_masked_lies_in_range(env, expert, seed):
    seen = set()
    for vector, mask in frames(env, expert, seed, 90, 6):
        assert np.isfinite(vector).all()
        for name, camera in SPEC.points:
            at = SLOTS[f"{name}@{camera}"]
            assert mask[at].all() == mask[at].any()
            if mask[at].all():
                assert ((vector[at] >= 0) & (vector[at] < 1)).all(), name
                seen.add((name, camera))
        for name, count in SPEC.classes:
            at = SLOTS[name]
            assert not mask[at].any() or float(vector[at][0]) in range(count), name
        for name, _ in SPEC.regressions:
            assert np.abs(vector[SLOTS[name]]).max() < (3.2 if "turn" in name else 2.5), name
    assert {camera for _, camera in seen} == set(range(len(CAMERAS)))
    colours = {brick.colour for brick in env.bricks}
    assert len(colours) == 1 or all((colour, BASE) in seen for colour in colours)
    assert ("left brick", BASE) in seen


def test_points_outside_a_picture_are_masked(env, expert):
    env.reset_scene(0)
    env.displace([0, 1], np.array([0.0, 3.0, 0.0]), 0.0)
    found = labels(env, expert)
    assert not [name for name in found if name.split("@")[0] in COLOURS]
    assert "left bin@0" in found


def job_bricks(env, expert):
    expert.goals(env.robot_state(), env.privileged())
    return [job.brick for job in expert.jobs]


@pytest.mark.parametrize("seed", range(3))
def test_labels_follow_a_moved_assembly(env, expert, seed):
    env.reset_scene(seed)
    bricks, before = job_bricks(env, expert), labels(env, expert)
    shift = np.array([0.02, -0.03, 0.0])
    env.displace([0, 1], shift, 0.0)
    after, state, robot = labels(env, expert), env.privileged(), env.robot_state()
    assert job_bricks(env, expert) == bricks and NO_BRICK not in bricks
    for a, arm in enumerate(ARMS):
        views = picture_points(env, {"brick": state.pos[bricks[a]]})["brick"]
        assert np.allclose(after[f"{arm} brick@0"], views[BASE][:2], atol=1e-6)
        assert np.abs(after[f"{arm} brick@0"] - before[f"{arm} brick@0"]).max() > 0.01
        moved = (after[f"{arm} goal"] - before[f"{arm} goal"]) * GOAL_SCALE
        assert np.allclose(moved, shift, atol=1e-6)
        gap = NEAR_SCALE * np.arctanh(after[f"{arm} brick from tool"].astype(float))
        distance = np.linalg.norm(state.pos[bricks[a]] - robot.tool_pos[a])
        assert np.linalg.norm(gap) == pytest.approx(distance, rel=0.05)
    # Nothing else has moved; the tools at rest stand outside the base picture.
    for name in ("left bin@0", "right bin@0", "left job", "right job", "left jaw", "right jaw"):
        assert np.array_equal(after[name], before[name]), name
    tools = dict(zip(ARMS, robot.tool_pos, strict=True))
    for arm, views in picture_points(env, tools).items():
        assert (f"{arm} tool@0" in after) == bool(views[BASE][2])


def test_a_turned_assembly_turns_the_jaws_with_it(env, expert):
    env.reset_scene(0)
    before = labels(env, expert)
    env.displace([0, 1], np.zeros(3), 0.4)
    after = labels(env, expert)
    for arm in ARMS:
        old, new = before[f"{arm} goal jaw axis"], after[f"{arm} goal jaw axis"]
        turn = np.arctan2(*new[::-1]) - np.arctan2(*old[::-1])
        assert np.sin(turn - 0.4) == pytest.approx(0, abs=1e-5)
        assert np.linalg.norm(new) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_colours_are_placed_where_their_only_brick_is(env, expert, seed):
    env.reset_scene(seed)
    found, state = labels(env, expert), env.privileged()
    painted = [brick.colour for brick in env.bricks]
    assert found["clutched"] == 1
    for colour in COLOURS:
        assert (f"{colour} at" in found) == (painted.count(colour) == 1)
        if painted.count(colour) == 1:
            place = state.pos[painted.index(colour)]
            assert np.allclose(found[f"{colour} at"] * GOAL_SCALE, place, atol=1e-6)
    for arm in ARMS:
        assert found[f"{arm} holds"] == 0


def test_the_bins_of_colours_follow_the_rule(env, expert):
    env.reset_scene(2, {"events": ["change_instruction@tick:0"]})
    rule, before = dict(env.rule), labels(env, expert)
    env.advance(expert.action(env.robot_state(), env.privileged()))
    after = labels(env, expert)
    changed = [colour for colour in rule if env.rule[colour] != rule[colour]]
    assert changed
    for colour, target in env.rule.items():
        name = f"{colour} goes to"
        assert after[name] == target and before[name] == rule[colour]


def test_jobs_are_those_of_the_expert(env, expert):
    env.reset_scene(0)
    seen = set()
    for _ in range(80):
        found = labels(env, expert)
        for arm, job in zip(ARMS, expert.jobs, strict=True):
            kind = JOB_KINDS[int(found[f"{arm} job"][0])]
            assert kind == job.kind
            assert (f"{arm} brick from tool" in found) == (job.brick != NO_BRICK)
            seen.add(kind)
        env.advance(expert.action(env.robot_state(), env.privileged()))
    assert {"take", "pull", "deliver"} <= seen
