"""Close views: bricks large enough to be told apart, trays in view, the stack seen past the arm."""

import mujoco
import numpy as np
import pytest

from envs.scene.rendering import HIDDEN_GROUPS
from envs.scene.views import VIEWS, View, views_of
from envs.tasks import make_env
from envs.world import WORLDS
from policies.scripted.experts import make_expert
from xr0_sim.view.overlay import REFERENCE_HEIGHT, STRIP_HEIGHT

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
FILM = (540, 960)


def pixels(view, points, height, width):
    """Points (n, 3) in the picture of a view, (n, 2) [px]."""
    axes = np.array(view.axes)
    frame = np.column_stack([axes[:3], axes[3:], np.cross(axes[:3], axes[3:])])
    local = (np.asarray(points) - view.pos) @ frame
    focal = height / 2 / np.tan(np.radians(view.fovy / 2))
    across, up = focal * local[:, :2].T / -local[:, 2]
    return np.column_stack([across + width / 2, height / 2 - up])


def corners(env, index):
    body = env.data.body(f"brick{index}")
    half = env.bricks[index].half_size
    return body.xpos + (CORNERS * half) @ body.xmat.reshape(3, 3).T


@pytest.fixture(scope="module")
def scenes():
    """Environments of the newest world after a reset."""
    found = []
    for seed in range(16):
        env = make_env("block_dismantling", n_bricks=(2, 4)[seed % 2], world="0.2")
        env.reset_scene(seed)
        found.append(env)
    return found


def test_the_first_world_keeps_its_views():
    views = views_of(WORLDS["0.1"])
    assert views.base == View((-0.42, 0.0, 0.70), (0.05, 0.0, 0.0), 39.0)
    assert views.video == View((-0.98, 0.0, 0.66), (0.02, 0.0, 0.10), 42.0)
    env = make_env("block_dismantling", world="0.1")
    env.reset_scene(0)
    assert env.image_size == 128 and env.views == views == VIEWS["0.1"]
    assert env.model.camera("base").fovy[0] == 39.0
    assert make_env("block_dismantling", world="0.2", image_size=128).image_size == 128


@pytest.mark.parametrize("task", ["block_dismantling", "towel_folding"])
def test_the_scene_has_the_cameras_of_its_views(task):
    env = make_env(task, world="0.2")
    env.reset_scene(0)
    for name, view in (("base", env.views.base), ("video", env.views.video)):
        assert np.allclose(env.model.camera(name).pos, view.pos)
        assert env.model.camera(name).fovy[0] == view.fovy
    assert env.image_size == 224


def test_a_brick_is_25_pixels_wide(scenes):
    widths = []
    for env in scenes:
        for index, brick in enumerate(env.bricks):
            if brick.size == (2, 2):
                seen = pixels(env.views.base, corners(env, index), env.image_size, env.image_size)
                widths.append(np.ptp(seen[:, 0]))
    assert len(widths) > 8 and min(widths) >= 24.5 and np.median(widths) >= 28


def test_stack_and_trays_are_in_the_picture(scenes):
    for env in scenes:
        size = env.image_size
        for index in range(len(env.bricks)):
            seen = pixels(env.views.base, corners(env, index), size, size)
            assert (seen > 2).all() and (seen < size - 2).all()
        seen = pixels(env.views.base, [[*centre, 0.0] for centre in env.bins], size, size)
        assert (seen > 0).all() and (seen < size).all()


def test_a_brick_takes_a_twelfth_of_a_film(scenes):
    shares = [
        np.ptp(pixels(env.views.video, corners(env, index), *FILM)[:, 0]) / FILM[1]
        for env in scenes
        for index, brick in enumerate(env.bricks)
        if brick.size != (2, 2)
    ]
    assert min(shares) >= 0.08


def test_a_film_shows_a_flat_towel_above_its_strip():
    env = make_env("towel_folding", world="0.2", grid=9)
    strip = FILM[0] * (1 - STRIP_HEIGHT / REFERENCE_HEIGHT)
    for seed in range(6):
        env.reset_scene(seed)
        seen = pixels(env.views.video, env.privileged().points, *FILM)
        assert seen[:, 1].max() < strip and seen[:, 1].min() > 80
        assert np.ptp(seen[:, 0]) > 0.22 * FILM[1]


def test_a_projected_corner_is_where_the_picture_has_it(scenes):
    env = scenes[1]
    shown = _segments(env, env.model.geom_group)
    body = env.model.body("brick0").id
    seen = pixels(env.views.base, corners(env, 0), env.image_size, env.image_size)
    where = np.argwhere(np.isin(shown, np.flatnonzero(env.model.geom_bodyid == body)))
    assert len(where) > 40
    assert where[:, 1].min() >= seen[:, 0].min() - 2 and where[:, 1].max() <= seen[:, 0].max() + 2


@pytest.mark.slow
def test_the_stack_is_seen_past_the_holding_arm():
    shares = []
    for seed in range(3):
        env = make_env("block_dismantling", n_bricks=4, world="0.2")
        env.reset_scene(seed)
        expert = make_expert(env)
        for tick in range(900):
            if env.phase in ("grasp", "pull") and tick % 8 == 0:
                shares.append(_visible_share(env))
            _, done, _, _ = env.advance(expert.action(env.robot_state(), env.privileged()))
            if done:
                break
    assert len(shares) > 20
    assert np.mean(np.array(shares) >= 0.5) >= 0.9, "half of the stack, in nine of ten frames"


def _visible_share(env):
    """Pixels of the clutched bricks, as a share of those that would show without arms."""
    model, state = env.model, env.privileged()
    held = np.flatnonzero(state.joined.any(0) | state.joined.any(1))
    bodies = [model.body(f"brick{i}").id for i in held]
    geoms = np.flatnonzero(np.isin(model.geom_bodyid, bodies))
    names = [model.body(b).name for b in model.geom_bodyid]
    arms = [g for g, name in enumerate(names) if name.startswith(("left/", "right/"))]
    without = model.geom_group.copy()
    without[arms] = HIDDEN_GROUPS[0]
    with_arms, alone = (_segments(env, groups) for groups in (model.geom_group, without))
    return np.isin(with_arms, geoms).sum() / max(1, np.isin(alone, geoms).sum())


def _segments(env, groups):
    """Geom of every pixel of the base view, (S, S)."""
    model, kept = env.model, env.model.geom_group.copy()
    model.geom_group[:] = groups
    option = mujoco.MjvOption()
    option.geomgroup[list(HIDDEN_GROUPS)] = 0
    renderer = mujoco.Renderer(model, env.image_size, env.image_size)
    try:
        renderer.enable_segmentation_rendering()
        mujoco.mj_comPos(model, env.data)
        mujoco.mj_camlight(model, env.data)
        renderer.update_scene(env.data, "base", option)
        return renderer.render()[..., 0]
    finally:
        renderer.close()
        model.geom_group[:] = kept
