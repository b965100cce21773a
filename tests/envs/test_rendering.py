"""Pictures: sizes, threads, processes, and variables that are set wrongly."""

import multiprocessing
import os
import subprocess
import sys
import threading

import gymnasium as gym
import numpy as np
import pytest

from envs import ENV_IDS
from xr0_sim.errors import RenderError

ID = ENV_IDS["block_dismantling"]
STILL = np.zeros(14, np.float32)

PICTURE = """
import {first}
import envs
import gymnasium as gym
env = gym.make("xr0_sim/BlockDismantling-v0", image_size=32, timestep_s=1 / 600)
try:
    env.reset(seed=0)
    print("drawn")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def env():
    env = gym.make(ID, image_size=32, render_mode="rgb_array", render_size=(48, 64)).unwrapped
    yield env
    env.close()


def in_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_pictures_of_every_size_in_the_stated_range():
    for size in (32, 1024):
        env = gym.make(ID, image_size=size).unwrapped
        assert env.reset(seed=0)[0]["image_base"].shape == (size, size, 3)
        env.close()
    env = gym.make(ID, observation="state", render_mode="rgb_array", render_size=(16, 2000))
    env.reset(seed=0)
    assert env.render().shape == (16, 2000, 3)
    env.close()


def test_the_size_of_the_video_does_not_change_the_policy_pictures():
    pictures = []
    for render_size in ((540, 960), (64, 1300)):
        env = gym.make(ID, image_size=64, render_mode="rgb_array", render_size=render_size)
        pictures.append(env.reset(seed=0)[0]["image_base"])
        env.render()
        env.close()
    assert np.array_equal(*pictures) and np.ptp(pictures[0]) > 0


def test_any_thread_may_draw_and_the_environment_stays_usable(env):
    env.reset(seed=0)
    base, video = env.camera_images()["base"], env.render()
    assert np.array_equal(in_thread(lambda: env.camera_images()["base"]), base)
    assert np.array_equal(in_thread(env.render), video)
    in_thread(lambda: env.step(STILL))
    assert env.render().shape == video.shape
    in_thread(lambda: env.reset(seed=0))
    assert np.array_equal(env.render(), video)
    in_thread(env.close)
    env.reset(seed=0)
    assert np.array_equal(env.camera_images()["base"], base)


def test_two_threads_with_an_environment_each_draw_at_the_same_time():
    envs = [gym.make(ID, image_size=32).unwrapped for _ in range(2)]
    for one in envs:
        one.reset(seed=0)
    wanted, found = envs[0].camera_images()["base"], {}

    def draw(index):
        found[index] = [envs[index].camera_images()["base"] for _ in range(5)]

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(image, wanted) for images in found.values() for image in images)
    for one in envs:
        one.close()


def draw_in_child(env, connection):
    try:
        env.render()
        connection.send("drawn")
    except RenderError as error:
        connection.send(str(error))
    fresh = gym.make(ID, image_size=32).unwrapped
    try:
        fresh.reset(seed=0)
        connection.send("drawn")
    except RenderError as error:
        connection.send(str(error))
    env.close()
    del env, fresh
    connection.send("closed")


@pytest.mark.skipif(os.environ.get("MUJOCO_GL") != "egl", reason="about EGL")
def test_a_forked_process_is_told_to_be_spawned_instead_of_hanging(env):
    env.reset(seed=0)
    before = env.render()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=draw_in_child, args=(env, theirs))
    child.start()
    answers = [ours.recv() if ours.poll(20) else "hangs" for _ in range(3)]
    child.join(5)
    child.kill()
    assert all("forked" in answer and "'spawn'" in answer for answer in answers[:2])
    assert answers[2] == "closed"
    assert np.array_equal(env.render(), before)


@pytest.mark.skipif(os.environ.get("MUJOCO_GL") != "egl", reason="about EGL")
@pytest.mark.parametrize(
    ("first", "variables", "expected"),
    [
        ("mujoco", {}, "drawn"),
        ("os", {"MUJOCO_EGL_DEVICE_ID": "99"}, "RenderError MUJOCO_EGL_DEVICE_ID='99': expected"),
        ("os", {"MUJOCO_EGL_DEVICE_ID": "x"}, "RenderError MUJOCO_EGL_DEVICE_ID='x': expected"),
        ("mujoco", {"PYOPENGL_PLATFORM": "glx"}, "RenderError PYOPENGL_PLATFORM='glx': expected"),
    ],
)
def test_a_picture_or_the_variable_that_prevents_it(first, variables, expected):
    clean = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", PICTURE.format(first=first)],
        env=clean | variables,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(expected), done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "words"), [("eggl", "expected egl, osmesa, glfw or disable"), ("", "")]
)
def test_a_backend_that_does_not_exist_is_named(monkeypatch, value, words):
    from envs.scene.gl import select_backend

    monkeypatch.setenv("MUJOCO_GL", value)
    monkeypatch.setattr("sys.platform", "linux")
    if not words:
        assert select_backend() in ("egl", "osmesa", "disable")
        return
    with pytest.raises(RenderError, match=words) as caught:
        select_backend()
    assert "MUJOCO_GL='eggl'" in str(caught.value)


def test_a_backend_whose_library_is_missing_is_named(monkeypatch):
    from envs.scene import gl

    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(gl, "_loads", lambda library: library == "libEGL.so.1")
    with pytest.raises(RenderError, match=r"libOSMesa.so.8.*set MUJOCO_GL=egl"):
        gl.select_backend()
