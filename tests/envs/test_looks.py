"""Looks are drawn by the seed, keep the names of colours, and never touch the physics."""

import colorsys

import numpy as np
import pytest

from envs.block_dismantling.bricks import COLOURS
from envs.scene.looks import STRONG, Looks, dyed
from envs.tasks import make_env
from policies.scripted.experts import make_expert
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError
from xr0_sim.registry import looks

SIZE = 64
APPEARANCE = (
    "cam_pos",
    "cam_quat",
    "cam_fovy",
    "light_pos",
    "light_dir",
    "light_diffuse",
    "geom_rgba",
    "mat_rgba",
    "tex_data",
)


def level(task):
    return {"grid": 9} if task == "towel_folding" else {}


def dressed(text, seed=0, task="block_dismantling", **kwargs):
    env = make_env(task, image_size=SIZE, looks=text, **{**level(task), **kwargs})
    env.reset_scene(seed)
    return env


def appearance(env):
    return {name: getattr(env.model, name).copy() for name in APPEARANCE}


@pytest.mark.parametrize("task", ["block_dismantling", "towel_folding"])
def test_without_looks_nothing_changes(task):
    plain = make_env(task, image_size=SIZE, **level(task))
    plain.reset_scene(0)
    none = dressed("none", task=task)
    assert all(np.array_equal(a, appearance(none)[n]) for n, a in appearance(plain).items())
    seen, true = none.camera_images(), plain.camera_images()
    assert all(np.array_equal(seen[camera], true[camera]) for camera in CAMERAS)


@pytest.mark.parametrize("task", ["block_dismantling", "towel_folding"])
def test_strong_looks_change_everything_one_sees_and_nothing_that_moves(task):
    plain, strong = dressed("none", task=task), dressed("strong", task=task)
    before, after = appearance(plain), appearance(strong)
    same = [name for name in APPEARANCE if np.array_equal(before[name], after[name])]
    # A towel is of materials, bricks have colours of their own.
    assert same == ["geom_rgba" if task == "towel_folding" else "mat_rgba"]
    for name in ("body_mass", "geom_size", "geom_pos", "geom_friction", "eq_data"):
        assert np.array_equal(getattr(plain.model, name), getattr(strong.model, name)), name
    expert = make_expert(plain)
    for _ in range(12):
        action = expert.action(plain.robot_state(), plain.privileged())
        plain.advance(action)
        strong.advance(action)
    assert plain.data.qpos.tobytes() == strong.data.qpos.tobytes()
    assert plain.instruction == strong.instruction


def test_the_same_seed_looks_the_same_and_another_does_not():
    first, again, other = dressed("strong", 5), dressed("strong", 5), dressed("strong", 6)
    assert all(np.array_equal(a, appearance(again)[n]) for n, a in appearance(first).items())
    assert not np.array_equal(first.model.cam_pos, other.model.cam_pos)
    assert not np.array_equal(first.camera_images()["base"], other.camera_images()["base"])


def test_cameras_stay_within_their_ranges():
    nominal = dressed("none")
    shifts, turns, views = [], [], []
    for seed in range(24):
        env = dressed("strong", seed)
        camera, still = env.model.camera("base"), nominal.model.camera("base")
        shifts.append(camera.pos - still.pos)
        cosine = min(1.0, abs(float(camera.quat @ still.quat)))
        turns.append(np.degrees(2 * np.arccos(cosine)))
        views.append(float(camera.fovy[0] - still.fovy[0]))
    assert 0.01 < np.abs(shifts).max() <= 0.015
    assert 1.8 < max(turns) <= 2.0 * 3**0.5 + 1e-6
    assert 1.0 < np.abs(views).max() <= 2.0


def test_mild_is_half_of_strong():
    assert looks["none"] == Looks() and looks["none"].plain
    assert looks["strong"] == STRONG and looks["mild"] == STRONG.scaled(0.5)
    assert STRONG.camera_shift_m == 0.015 and STRONG.camera_turn_deg == 2.0
    assert all(looks.entry(name).source for name in looks)


def test_a_dye_is_the_turn_of_a_hue():
    rng = np.random.default_rng(0)
    colours = np.concatenate([rng.random((200, 3)), np.eye(3), np.zeros((1, 3)), np.ones((1, 3))])
    got = dyed(colours, -0.02, 1.1, 0.9)
    for colour, new in zip(colours, got, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*colour)
        wanted = colorsys.hsv_to_rgb((h - 0.02) % 1, 0.9 * s, min(1, 1.1 * v))
        assert np.allclose(new, wanted)


def test_bricks_keep_the_names_of_their_colours():
    def hue(rgb):
        return colorsys.rgb_to_hsv(*rgb[:3])[0]

    hues = {name: hue(rgba) for name, rgba in COLOURS.items()}
    seen = set()
    for seed in range(24):
        env = dressed("strong", seed, n_bricks=4)
        for index, brick in enumerate(env.bricks):
            rgba = env.model.geom(f"brick{index}").rgba
            gaps = {n: abs((hue(rgba) - h + 0.5) % 1 - 0.5) for n, h in hues.items()}
            assert min(gaps, key=gaps.get) == brick.colour
            assert gaps[brick.colour] * 360 <= 5.0 + 0.01
            seen.add((brick.colour, round(hue(rgba), 4)))
    assert len(seen) > 40


def test_bricks_of_one_colour_share_their_dye():
    env = dressed("strong", 3, n_bricks=10)
    by_colour = {}
    for index, brick in enumerate(env.bricks):
        body = env.model.body(f"brick{index}").id
        rgba = env.model.geom_rgba[env.model.geom_bodyid == body]
        by_colour.setdefault(brick.colour, set()).update(map(tuple, rgba.round(6).tolist()))
    assert all(len(shades) == 1 for shades in by_colour.values())


def test_the_level_stands_in_what_a_run_writes_down():
    env = dressed("strong")
    assert env.looks == STRONG
    with pytest.raises(ConfigError, match="strong"):
        dressed("stronk")
    with pytest.raises(ConfigError, match="dye_hue_deg") as caught:
        dressed("strong:dye_hue_deg=60")
    assert "\n" not in str(caught.value)
