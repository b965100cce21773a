"""What the firm cloth does: it remembers bends, and what its judge and its figures say."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from envs.scene.stage import TABLE_HALF_SIZE
from envs.towel_folding.cloth import RADIUS, SIDE, pad_friction, rest_grid
from envs.towel_folding.condition import edge_strain, lies_on_table, points_below_table
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.folds import FoldFit
from envs.towel_folding.material import material_of
from envs.towel_folding.self_intersection import crossings
from envs.world import find_world
from policies.scripted.experts import make_expert
from xr0_sim.conventions import ARMS

GRID = 13
FOLDED_SEED = 204
FIRM_WORLD = replace(find_world("0.2"), cloth="0.2")


def flat():
    return np.column_stack([rest_grid(GRID), np.full(GRID**2, RADIUS)])


def wrinkled():
    """Two wrinkles of 38 mm, as long along the cloth as a flat towel."""
    slope = 0.9 * np.sin(2 * np.pi * np.linspace(0, SIDE, GRID) / 0.15)[:-1]
    step = SIDE / (GRID - 1)
    x = np.concatenate([[0.0], np.cumsum(step * np.cos(slope))])
    z = np.concatenate([[0.0], np.cumsum(step * np.sin(slope))])
    points, row = flat(), np.arange(GRID**2) // GRID
    points[:, 0] = x[row] - x.mean()
    points[:, 2] += z[row] - z.min()
    return points


def make_env(cloth="0.2"):
    env = TowelFoldingEnv(world=replace(FIRM_WORLD, cloth=cloth))
    env.reset_scene(0)
    return env


def bend(env, points):
    for _ in range(30):
        env._towel.place(env.data, points)
        mujoco.mj_step(env.model, env.data)
    env._towel.place(env.data, points)


@pytest.mark.parametrize(("cloth", "stays"), [("0.1", False), ("0.2", True)])
def test_two_wrinkles_stay_in_a_cloth_with_memory(cloth, stays):
    env = make_env(cloth)
    start = wrinkled()
    bend(env, start)
    mujoco.mj_step(env.model, env.data, nstep=2 * round(1 / env.timestep_s))
    share = (env.points[:, 2].max() - RADIUS) / (start[:, 2].max() - RADIUS)
    assert (share > 0.4) == stays


def test_a_snapshot_keeps_what_was_bent():
    env = make_env()
    bend(env, wrinkled())
    before = env.data.plastic.copy()
    assert before.any()
    state = env.snapshot()
    rest = env._command.copy()
    env.advance(rest)
    once = env.data.qpos.copy()
    bend(env, flat())
    env.restore(state)
    assert np.array_equal(env.data.plastic, before)
    env.advance(rest)
    assert np.array_equal(env.data.qpos, once)


def test_strain_and_support_are_what_they_say():
    points = flat()
    assert np.abs(edge_strain(points, GRID)).max() < 1e-12
    wide = points * (1.1, 1.1, 1.0)
    assert edge_strain(wide, GRID) == pytest.approx(0.1)
    assert lies_on_table(points)
    assert points_below_table(points) == 0
    points[5, 2] = -0.001
    assert points_below_table(points) == 1
    assert not lies_on_table(points)
    beyond = flat() + np.array([TABLE_HALF_SIZE[0], 0.0, 0.0])
    assert not lies_on_table(beyond)
    assert points_below_table(beyond - (0.0, 0.0, 0.1)) < GRID**2


def folded_away(env, through=False):
    """A towel folded as asked, or with one mass point of the upper layer under the lower."""
    points = flat()
    moving = points[:, 0] * env.folds[0].sign > 1e-9
    points[moving, 0] *= -1.0
    points[moving, 2] += 0.006
    if through:
        at = np.flatnonzero(moving)[40]
        points[at, 2] = 0.0005
    return points


def settle(env, points, ticks=30):
    env._towel.place(env.data, points)
    mujoco.mj_forward(env.model, env.data)
    for _ in range(ticks):
        _, ended, _, info = env.advance(env._command)
        if ended:
            break
    return info


def test_a_towel_through_itself_is_no_success():
    env = make_env()
    points = folded_away(env, through=True)
    assert crossings(points, GRID) > 0
    env._towel.place(env.data, points)
    mujoco.mj_forward(env.model, env.data)
    env._rest = 100
    assessment = env._assess()
    assert assessment.details["crossings"] == crossings(env.points, GRID) > 0
    assert not assessment.success
    env._towel.place(env.data, folded_away(env))
    mujoco.mj_forward(env.model, env.data)
    env._rest = 100
    assert env._assess().success


def test_a_towel_that_hangs_over_the_edge_is_no_success():
    env = make_env()
    env._towel.place(
        env.data, folded_away(env) + np.array([TABLE_HALF_SIZE[0] + SIDE / 4, 0.0, 0.0])
    )
    mujoco.mj_forward(env.model, env.data)
    env._rest = 100
    assert not env._assess().success


def test_info_tells_strain_and_crossings():
    info = settle(make_env(), flat(), ticks=2)
    assert info["crossings"] == 0
    assert 0.0 <= info["strain_max"] < 0.02


def test_a_towel_beyond_the_edge_falls():
    env = make_env()
    env._towel.place(env.data, flat() + np.array([TABLE_HALF_SIZE[0] + 0.02, 0.0, 0.01]))
    mujoco.mj_step(env.model, env.data, nstep=60)
    assert env.points[:, 2].min() < -0.1


@pytest.mark.parametrize(("cloth", "good"), [("0.1", False), ("0.2", True)])
def test_a_firm_cloths_crease_may_stand_higher(cloth, good):
    material = material_of(replace(FIRM_WORLD, cloth=cloth))
    fit = FoldFit(mirror=0.0, corner=0.0, iou=1.0, layers=1.0, height=0.032)
    assert fit.good(1, material.layer_height) == good
    assert not replace(fit, height=0.037).good(1, material.layer_height)
    assert not fit.good(0, material.layer_height)


@pytest.mark.parametrize("cloth", ["0.1", "0.2"])
def test_hands_are_fit_for_their_cloth(cloth):
    env = make_env(cloth)
    material = material_of(env.world)
    for arm in ARMS:
        pad = env.model.geom(f"{arm}/left_pad").friction
        assert tuple(pad) == pad_friction(material)
        jaw = env.model.actuator(f"{arm}/left_finger")
        assert jaw.gainprm[0] == material.jaw_kp == -jaw.biasprm[1]
        assert jaw.biasprm[2] == -material.jaw_kd
    assert make_expert(env)._planner._firm_jaw == material.firm_jaw


def test_a_fold_of_firm_cloth_does_not_pass_through_itself():
    env = TowelFoldingEnv(world=FIRM_WORLD, servo="ideal", observation="state")
    env.reset_scene(FOLDED_SEED)
    expert = make_expert(env)
    for _ in range(300):
        action = expert.action(env.robot_state(), env.privileged())
        _, terminated, _, info = env.advance(action)
        assert points_below_table(env.points) == 0
        if terminated:
            break
    assert info["made"] == 1 and crossings(env.points, GRID) == 0
