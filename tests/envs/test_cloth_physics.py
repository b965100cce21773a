"""What towels are made of: layers, memory of bends, and what judge and figures say of them."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from envs.scene.stage import TABLE_HALF_SIZE
from envs.towel_folding.cloth import RADIUS, SIDE, pad_friction, rest_grid
from envs.towel_folding.condition import edge_strain, lies_on_table, points_below_table
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.material import material_of
from envs.towel_folding.self_intersection import crossing_depth, crossings
from envs.world import find_world
from policies.scripted.experts import make_expert
from xr0_sim.conventions import ARMS
from xr0_sim.errors import ConfigError

GRID = 13
FOLDED_SEED = 204


def flat():
    return np.column_stack([rest_grid(GRID), np.full(GRID**2, RADIUS)])


def make_env(material="firm", **kwargs):
    env = TowelFoldingEnv(material=material, **kwargs)
    env.reset_scene(0)
    return env


def bend(env, points):
    for _ in range(30):
        env._towel.place(env.data, points)
        mujoco.mj_step(env.model, env.data)
    env._towel.place(env.data, points)


def test_worlds_say_what_a_towel_is_made_of():
    assert TowelFoldingEnv(world="0.1").world.cloth == "soft"
    assert TowelFoldingEnv().world.cloth == "layered"
    assert TowelFoldingEnv(material="soft").world.cloth == "soft"
    assert {TowelFoldingEnv(level=x).world.cloth for x in ("quarter", "flatten", "full")} == {
        "soft"
    }
    given = TowelFoldingEnv(world="0.1", material="firm").world
    assert (given.name, given.cloth, given.servo) == ("0.1", "firm", "ideal")
    with pytest.raises(ConfigError, match="soft"):
        TowelFoldingEnv(material="silk")


def zigzag():
    """Three ridges whose flanks are two edges long, as long along the cloth as a flat towel."""
    step = SIDE / (GRID - 1)
    rising = np.tile([1.0, 1.0, -1.0, -1.0], 3)
    points, row = flat(), np.arange(GRID**2) // GRID
    x = np.concatenate([[0.0], np.cumsum(np.full(12, step * np.cos(1.4)))])
    z = np.concatenate([[0.0], np.cumsum(step * np.sin(1.4) * rising)])
    points[:, 0] = x[row] - x.mean()
    points[:, 2] += z[row]
    return points


def test_a_sharp_crease_stays_in_a_cloth_with_memory():
    """Bent moments that are left once it lies flat: none in a cloth without memory."""
    env = make_env("firm")
    bend(env, zigzag())
    assert np.abs(env.data.plastic).max() > 0.0
    assert make_env("layered").data.plastic.size == 0


def test_a_snapshot_keeps_what_was_bent():
    env = make_env()
    bend(env, zigzag())
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


def folded_away(env, poke_m=0.0):
    """A towel folded as asked; a mass point of the lower layer reaches through the upper."""
    points = flat()
    moving = points[:, 0] * env.folds[0].sign > 1e-9
    points[moving, 0] *= -1.0
    points[moving, 2] += 0.006
    if poke_m:
        points[np.flatnonzero(~moving)[40], 2] += 0.006 + poke_m
    return points


def settle(env, points, ticks=30):
    env._towel.place(env.data, points)
    mujoco.mj_forward(env.model, env.data)
    for _ in range(ticks):
        _, ended, _, info = env.advance(env._command)
        if ended:
            break
    return info


@pytest.mark.parametrize(
    ("material", "poke_m", "good"),
    [("firm", 0.0, True), ("firm", 0.004, True), ("firm", 0.007, False), ("soft", 0.007, True)],
)
def test_a_towel_that_reaches_through_itself_is_no_success(material, poke_m, good):
    env = make_env(material)
    env._towel.place(env.data, folded_away(env, poke_m))
    mujoco.mj_forward(env.model, env.data)
    assert crossing_depth(env.points, GRID) == pytest.approx(min(poke_m, 0.006))
    env._rest = 100
    assessment = env._assess()
    assert assessment.details["crossings"] == crossings(env.points, GRID)
    assert (assessment.details["crossings"] > 0) == (poke_m > 0.0)
    assert assessment.success == good


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


@pytest.mark.parametrize("material", ["soft", "firm"])
def test_hands_are_fit_for_their_cloth(material):
    env = make_env(material)
    material = material_of(env.world)
    for arm in ARMS:
        pad = env.model.geom(f"{arm}/left_pad").friction
        assert tuple(pad) == pad_friction(material)
        jaw = env.model.actuator(f"{arm}/left_finger")
        assert jaw.gainprm[0] == material.jaw_kp == -jaw.biasprm[1]
        assert jaw.biasprm[2] == -material.jaw_kd
    assert make_expert(env)._planner._firm_jaw == material.firm_jaw


@pytest.mark.parametrize("material", ["layered", "firm"])
def test_a_fold_does_not_pass_through_itself(material):
    env = make_env(material, servo="ideal", observation="state")
    env.reset_scene(FOLDED_SEED)
    expert = make_expert(env)
    shortest = longest = 0.0
    for _ in range(200):
        action = expert.action(env.robot_state(), env.privileged())
        _, terminated, _, info = env.advance(action)
        strain = edge_strain(env.points, GRID)
        shortest, longest = min(shortest, strain.min()), max(longest, strain.max())
        if material == "firm":
            assert points_below_table(env.points) == 0
        if terminated:
            break
    assert info["success"] and crossings(env.points, GRID) == 0
    if material == "firm":
        assert -0.10 < shortest and longest < 0.10


def test_a_folded_towel_at_rest_does_not_tremble():
    """Which takes a solver that converges: with 50 iterations it moves at 0.2 m/s."""
    env = make_env("layered", servo="ideal")
    settle(env, folded_away(env), ticks=20)
    assert env._towel.fastest(env.data) < 0.01


@pytest.mark.parametrize(("rests_on", "most"), [("faces", 1000), ("points", GRID**2)])
def test_a_flat_towel_meets_the_slab_once_a_mass_point_or_with_every_triangle(rests_on, most):
    world = replace(find_world("0.2"), towel_contact=rests_on)
    env = TowelFoldingEnv(observation="state", material="soft", world=world)
    env.reset_scene(2, {})
    settle(env, flat(), ticks=10)
    table = env.model.geom("table").id
    found = int((env.data.contact.geom == table).any(axis=1).sum())
    least = GRID**2 if rests_on == "points" else 3 * GRID**2
    assert least <= found <= most
