"""Pictures without what no camera can see are those with it, byte for byte."""

import numpy as np
import pytest

from envs.scene import sight
from envs.scene.rendering import SceneRenderer
from envs.tasks import make_env

CAMERAS = ("base", "left/wrist", "right/wrist")
TASKS = ("block_dismantling", "towel_folding")
WORLDS = ("0.1", "0.2")
DRAWN = np.array([1, 1, 1, 0, 0, 1])


def renderers(env, size=128):
    return [SceneRenderer(env.model, size, size, whole=whole) for whole in (True, False)]


def unequal(env, seeds, ticks, every=10):
    """Views that differ, out of all that were drawn while the arms wander."""
    differ, drawn = [], 0
    for seed in seeds:
        env.reset_scene(seed)
        pair, rng = renderers(env), np.random.default_rng(seed)
        aim = rng.uniform(-0.8, 0.8, 14)
        for tick in range(ticks):
            if tick % every == 0:
                aim = rng.uniform(-0.8, 0.8, 14)
                env._cameras._update_poses()
                for camera in CAMERAS:
                    one, other = (renderer.draw(env.data, camera) for renderer in pair)
                    drawn += 1
                    if not np.array_equal(one, other):
                        differ.append((seed, tick, camera))
            env.advance(aim)
        for renderer in pair:
            renderer.close()
    return differ, drawn


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("task", TASKS)
def test_no_byte_changes_in_any_view(task, world):
    env = make_env(task, world=world)
    differ, drawn = unequal(env, seeds=(0,), ticks=21)
    assert drawn == 3 * 3 and not differ


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("task", TASKS)
def test_no_byte_changes_in_any_view_of_many_episodes(task, world):
    env = make_env(task, world=world, looks="strong")
    differ, drawn = unequal(env, seeds=range(10), ticks=121)
    assert drawn == 10 * 13 * 3 and not differ


def test_too_small_a_geom_is_missed_in_a_picture(monkeypatch):
    env = make_env(TASKS[0])
    small = {kind: 0.2 * np.array(matrix) for kind, matrix in sight.REACH.items()}
    monkeypatch.setattr(sight, "REACH", small)
    differ, _ = unequal(env, seeds=(0,), ticks=1)
    assert differ


def test_most_geoms_are_out_of_sight_and_no_plane_is():
    env = make_env(TASKS[0])
    env.reset_scene(0)
    look = sight.Sight(env.model, 1.0, DRAWN)
    drawn = int((env.model.geom_group < 3).sum())
    hidden, _ = look.look(env.data, env.model.camera("base").id)
    assert len(hidden) > drawn / 2
    assert not set(hidden) & set(np.flatnonzero(env.model.geom_type == 0).tolist())


def test_a_camera_with_another_frustum_draws_everything():
    env = make_env(TASKS[0])
    env.reset_scene(0)
    camera = env.model.camera("base").id
    env.model.cam_sensorsize[camera] = 0.01
    assert sight.Sight(env.model, 1.0, DRAWN).look(env.data, camera) == ([], {})
