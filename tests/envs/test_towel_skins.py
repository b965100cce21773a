"""How a towel is drawn: as it was in world 0.1; else smooth, as thick as it feels, not burnt."""

from collections import Counter

import mujoco
import numpy as np
import pytest

from envs.scene.rendering import SceneRenderer
from envs.towel_folding.cloth import LAYER_DISTANCE, SIDE, rest_grid
from envs.towel_folding.env import TowelFoldingEnv
from envs.towel_folding.skins import _interpolation, _thick_sides

GRIDS = (9, 13, 17)


def edges_of(surface):
    """Every directed side of every face by the places of its ends and the side it lies on."""
    return Counter(
        (int(a), int(b))
        for face in surface.face
        for a, b in zip(face, np.roll(face, -1), strict=True)
    )


@pytest.fixture(scope="module", params=["0.1", "0.2"])
def turned_over(request):
    """A towel with its plain side up, and its picture from the base camera."""
    env = TowelFoldingEnv(observation="state", world=request.param)
    env.reset_scene(0)
    points = env.points.copy()
    points[:, 0] *= -1.0
    points[:, 2] = 0.003
    env._towel.place(env.data, points)
    mujoco.mj_forward(env.model, env.data)
    renderer = SceneRenderer(env.model, 128, 128)
    picture = renderer.draw(env.data, "base")
    renderer.close()
    return env, picture


@pytest.mark.parametrize("grid", GRIDS)
def test_the_surface_passes_through_the_mass_points_and_keeps_planes_plane(grid):
    lines = np.linspace(0.0, grid - 1.0, 4 * (grid - 1) + 1)
    weights = _interpolation(lines, grid)
    assert np.abs(weights.sum(axis=1) - 1.0).max() < 1e-12
    assert np.abs(weights @ np.arange(grid) - lines).max() < 1e-12
    assert np.array_equal(weights[::4], np.eye(grid))


@pytest.mark.parametrize("grid", GRIDS)
def test_print_and_plain_side_close_the_towel(grid):
    printed, plain = _thick_sides(grid)
    for surface in (printed, plain):
        assert np.abs(surface.weights.sum(axis=1) - 1.0).max() < 1e-12
        assert np.abs(surface.weights @ rest_grid(grid) - surface.vert[:, :2]).max() < 1e-12
        counts = edges_of(surface)
        assert max(counts.values()) == 1, "a face is turned the wrong way"
    open_ends = []
    for surface in (printed, plain):
        counts = edges_of(surface)
        rim = [edge for edge in counts if edge[::-1] not in counts]
        open_ends.append({tuple(map(tuple, surface.vert[list(edge), :2])) for edge in rim})
    assert open_ends[0] == {edge[::-1] for edge in open_ends[1]}
    assert len(open_ends[0]) == 4 * (2 * (grid - 1) - 2)


def test_world_0_1_draws_the_bare_mesh_and_later_worlds_a_thick_towel(turned_over):
    env, _ = turned_over
    model, grid = env.model, env.cloth.grid
    first = env.world.name == "0.1"
    assert model.skin_inflate == pytest.approx(0.0012 if first else LAYER_DISTANCE / 2)
    assert model.skin_vertnum[0] == grid**2 if first else model.skin_vertnum[0] > 3 * grid**2
    assert model.skin_vert[:, :2].min() == pytest.approx(-SIDE / 2, abs=1e-6)


def test_the_plain_side_is_burnt_in_world_0_1_only(turned_over):
    env, picture = turned_over
    burnt = float((picture.min(axis=2) >= 254).mean())
    light = float((picture.min(axis=2) >= 150).mean())
    assert light > 0.1, "no plain side in the picture"
    assert burnt > 0.05 if env.world.name == "0.1" else burnt == 0.0
