"""Internal friction of cloth: what it holds, takes and remembers."""

import mujoco
import numpy as np
import pytest

from envs.towel_folding.bend_friction import bend, bending_rigidity, hinges, memory_size
from envs.towel_folding.cloth import MASS, RADIUS, SIDE, rest_grid, towel_dofs
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.initial_state import SETTLE_S
from envs.towel_folding.material import CREASED, SOFT
from experiments.benchmarks.physics.relaxation import wrinkled
from xr0_sim.conventions import CONTROL_HZ

GRID = 13
SPACING = SIDE / (GRID - 1)


def make_env(material="creased", **kwargs):
    env = TowelFoldingEnv(material=material, observation="state", **kwargs)
    env.reset_scene(0)
    return env


@pytest.fixture(scope="module")
def creased():
    return make_env()


@pytest.fixture(scope="module")
def soft():
    return make_env("soft")


def rolled(curvature, direction=0.0):
    """A towel in the air, laid on a cylinder of a curvature [1/m] across a direction [rad]."""
    cos, sin = np.cos(direction), np.sin(direction)
    across, along = rest_grid(GRID) @ [cos, sin], rest_grid(GRID) @ [-sin, cos]
    half = 0.5 * curvature * SPACING  # chords, not arcs, are as long as the edges
    across = across * (np.arcsin(half) / half if half else 1.0)
    x = across * np.sinc(curvature * across / np.pi)
    z = 0.5 * curvature * (across * np.sinc(curvature * across / 2 / np.pi)) ** 2
    return np.column_stack([x * cos - along * sin, x * sin + along * cos, 0.5 + z])


def moment(env, curvature, direction=0.0):
    """Friction moment per length [N] of a towel that is brought to a curvature."""
    env._towel.place(env.data, rolled(curvature, direction))
    friction, dofs = env._towel.friction, towel_dofs(env.model, GRID)
    friction.apply(env.data)
    step = 1e-4
    change = rolled(curvature + step, direction) - rolled(curvature - step, direction)
    # What the engine's stiffer towel does too much is taken off beside the friction.
    force = env.data.qfrc_applied[dofs] - friction._added @ rolled(curvature, direction)
    return -float((force * change).sum()) / (2 * step) / SIDE**2


def test_an_angle_is_what_it_says_at_every_inner_edge():
    ends, edges = hinges(GRID)
    assert len(np.unique(np.sort(ends[:, :2], axis=1), axis=0)) == len(ends)
    assert 3 * len(edges) == memory_size(GRID)
    border = edges == len(ends)
    assert border.sum() == 4 * (GRID - 1)
    assert (np.bincount(edges[~border]) == 2).all()  # an edge belongs to two triangles
    angle, _ = bend(rolled(8.0), ends)
    across = np.isclose(np.ptp(rest_grid(GRID)[ends[:, :2], 0], axis=1), 0.0)
    assert np.abs(angle[across]) == pytest.approx(2.0 * np.arcsin(4.0 * SPACING))
    assert len(set(np.sign(angle[across]))) == 1
    assert angle[~across] == pytest.approx(0.0, abs=1e-9)


def test_slopes_are_those_of_the_angle():
    rng = np.random.default_rng(0)
    points, (ends, _) = rolled(20.0) + rng.normal(size=(GRID**2, 3)) * 2e-3, hinges(GRID)
    _, slopes = bend(points, ends)
    way = rng.normal(size=points.shape) * 1e-7
    change = bend(points + way, ends)[0] - bend(points - way, ends)[0]
    told = np.einsum("cik,kci->k", slopes, 2 * way[ends])
    assert change == pytest.approx(told, rel=1e-4, abs=1e-9)


def test_friction_grows_then_slips_and_changes_its_sign_on_the_way_back(creased):
    creased._towel.friction.forget(creased.data)
    limit, slip = CREASED.bend_friction, CREASED.bend_slip
    limit *= (GRID - 2) / (GRID - 1)  # it bends at so many edges of so many between its ends
    assert moment(creased, slip / 2) == pytest.approx(limit / 2, rel=0.05)
    assert moment(creased, 4 * slip) == pytest.approx(limit, rel=0.05)
    remembered = creased.data.userdata.copy()
    assert moment(creased, 3 * slip) == pytest.approx(0.0, abs=0.05 * limit)
    assert np.array_equal(creased.data.userdata, remembered)
    assert moment(creased, 2 * slip) == pytest.approx(-limit, rel=0.05)
    assert moment(creased, 0.0) == pytest.approx(-limit, rel=0.05)


@pytest.mark.parametrize("degrees", [22.5, 45.0, 90.0, -45.0])
def test_friction_is_the_same_in_every_direction_but_for_the_border(creased, degrees):
    creased._towel.friction.forget(creased.data)
    found = moment(creased, 20.0, np.deg2rad(degrees))
    assert found == pytest.approx(CREASED.bend_friction, rel=0.1)


def elastic_forces(env):
    env._towel.place(env.data, rolled(40.0))
    mujoco.mj_forward(env.model, env.data)
    return env.data.qfrc_passive[towel_dofs(env.model, GRID)]


def test_the_stiffness_the_engine_is_given_for_the_spring_is_taken_off_again(creased, soft):
    ratio = CREASED.bend_friction / CREASED.bend_slip / bending_rigidity(SOFT)
    assert creased.model.flex_bending == pytest.approx((1.0 + ratio) * soft.model.flex_bending)
    taken_off = creased._towel.friction._added @ rolled(40.0)
    difference = elastic_forces(creased) + taken_off - elastic_forces(soft)
    assert np.abs(difference).max() < 1e-9 < 1e-3 < np.abs(taken_off).max()


def height_mm(env):
    return 1e3 * (env.points[:, 2].max() - RADIUS)


def play(env, seconds):
    for _ in range(round(seconds * CONTROL_HZ)):
        env.advance(env._command)


def test_a_cloth_without_friction_carries_no_memory_and_its_wrinkles_iron_themselves(soft):
    assert soft.data.userdata.size == 0 and soft._own_forces() is None
    soft._towel.place(soft.data, wrinkled(GRID))
    play(soft, 0.3)
    assert height_mm(soft) < 1.0


def test_a_flat_towel_stays_flat_and_a_wrinkled_one_wrinkled():
    env = make_env()
    before = env.points.copy()
    play(env, 0.3)
    assert np.abs(env.points - before).max() < 2e-4
    env._towel.place(env.data, wrinkled(GRID))
    play(env, 0.7)
    assert 15.0 < height_mm(env) < 25.0
    assert env._towel.fastest(env.data) < 0.005


def test_a_towel_let_go_in_the_air_never_has_more_energy_than_it_was_bent_with():
    env = make_env()
    env.model.opt.gravity[:] = 0.0
    env._towel.place(env.data, rolled(25.0))
    env._towel.friction.apply(env.data)
    dofs, energies = towel_dofs(env.model, GRID), []

    def read():
        moving = 0.5 * MASS / GRID**2 * float((env.data.qvel[dofs] ** 2).sum())
        energies.append((moving, *env._towel.friction.energy(env.data)))

    read()
    env.watch_physics(read)
    play(env, 0.6)
    total = np.sum(energies, axis=1)
    area, limit, slip = SIDE**2, CREASED.bend_friction, CREASED.bend_slip
    bent = 0.5 * bending_rigidity(CREASED) * 25.0**2 * area
    assert energies[0] == pytest.approx((0.0, bent, 0.5 * limit * slip * area), rel=0.15)
    assert max(e[0] for e in energies) > 0.01 * total[0]  # it does move
    assert total.max() == total[0] > 1.1 * total[-1]
    # What is left stays bent: 25 /m is less than friction over rigidity.
    assert energies[-1][0] < 1e-3 * total[0] < 0.5 * energies[-1][1]


def test_what_was_bent_is_part_of_snapshots_and_of_one_environment_alone():
    env, other = make_env(), make_env()
    flat = other.data.userdata.copy()
    env._towel.place(env.data, wrinkled(GRID))
    play(env, 0.2)
    remembered, state = env.data.userdata.copy(), env.snapshot()
    assert np.abs(remembered).max() > 0.3
    assert np.array_equal(other.data.userdata, flat)
    play(env, 0.1)
    once = env.data.qpos.copy()
    env._next_towel(home=True)  # a new towel remembers nothing of the old one
    assert np.abs(env.data.userdata).max() < 0.3
    env.restore(state)
    assert np.array_equal(env.data.userdata, remembered)
    play(env, 0.1)
    assert np.array_equal(env.data.qpos, once)
    env.reset_scene(0)
    assert np.array_equal(env.data.userdata, flat)


def test_a_heap_that_stands_on_edge_is_waited_for(monkeypatch):
    env = make_env()
    speeds = iter([0.5, 0.2, 0.01, 0.01])
    monkeypatch.setattr(env._towel, "fastest", lambda data: next(speeds))
    before = env.data.time
    env._towel._await_rest(env.data)
    assert env.data.time - before == pytest.approx(2 * SETTLE_S)
