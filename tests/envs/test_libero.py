"""A real task of LIBERO: runs, repeats, has exact snapshots; skipped where there is none.

``make libero-check`` runs it; ``docs/libero.md`` says how to make the environment.
"""

import numpy as np
import pytest

from envs.libero.env import LiberoEnv
from envs.libero.place import missing
from envs.tasks import register_events
from xr0_sim.errors import ConfigError
from xr0_sim.rotations import quat_rotate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"LIBERO: {missing()}"),
]
ACTION = np.array([0.3, -0.2, -0.4, 0.0, 0.1, 0.0, -1.0] + [0.0] * 7)


@pytest.fixture(scope="module")
def env():
    register_events("libero")
    made = LiberoEnv(
        "libero_goal", 1, image_size=64, render_mode="rgb_array", render_size=(96, 128)
    )
    yield made
    made.close()


def played(env, ticks, pictures=False):
    told = []
    for _ in range(ticks):
        reward, over, _, info = env.advance(ACTION)
        told.append((reward, over, info["success"], env.robot_state(), env.privileged()))
        if pictures:
            env.camera_images()
    return repr(told)


def test_the_task_is_the_benchmarks(env):
    env.reset_scene(1)
    assert env.instruction == "Put the bowl on the stove."
    assert env.target == "akita_black_bowl_1" and "plate_1" in env.objects
    seen, robot = env.observe(), env.robot_state()
    assert {name: p.shape for name, p in seen.images.items()} == {
        "base": (64, 64, 3),
        "left_wrist": (64, 64, 3),
    }
    assert all(picture.std() > 5 for picture in seen.images.values())
    assert env.render().shape == (96, 128, 3)
    # The gripper is open after the idle steps, and the hand points down.
    assert robot.jaw[0] > 0.9 and quat_rotate(robot.tool_quat[0], np.array([0, 0, 1.0]))[2] < -0.9
    assert np.abs(robot.joint_pos.ravel()[:7]).max() > 1 and not robot.joint_pos.ravel()[9:].any()


def test_an_episode_repeats_bit_for_bit_with_and_without_pictures(env):
    env.reset_scene(1)
    first = played(env, 8)
    env.reset_scene(1)
    assert played(env, 8, pictures=True) == first
    env.reset_scene(2)
    assert played(env, 8) != first


def test_actions_move_the_tool_and_standing_still_does_not(env):
    env.reset_scene(1)
    before = env.robot_state().tool_pos[0].copy()
    played(env, 10)
    way = env.robot_state().tool_pos[0] - before
    assert way[0] > 0.015 and way[1] < -0.01 and way[2] < -0.02
    still = env.standstill(ACTION)
    for _ in range(5):  # the arm comes to rest
        env.advance(still)
    before = env.robot_state().tool_pos[0].copy()
    for _ in range(5):
        env.advance(still)
    assert np.linalg.norm(env.robot_state().tool_pos[0] - before) < 0.005


def test_a_snapshot_is_exact(env):
    env.reset_scene(1)
    played(env, 5)
    state, pictures = env.snapshot(), env.camera_images()
    first = played(env, 8)
    last = env.camera_images()
    env.restore(state)
    assert all(np.array_equal(env.camera_images()[name], pictures[name]) for name in pictures)
    assert played(env, 8) == first
    assert all(np.array_equal(env.camera_images()[name], last[name]) for name in last)


def test_an_object_is_moved_and_stays(env):
    env.reset_scene(1, {"events": ["object_shift:distance_m=0.06@0.1s"]})
    start = env.privileged()["objects"]["akita_black_bowl_1"].copy()
    others = {n: p.copy() for n, p in env.privileged()["objects"].items() if "bowl" not in n}
    for _ in range(12):
        fired = env.advance(env.standstill(ACTION))[3]["events"]
        if fired:
            assert fired[0].parameters["moved"] == "akita_black_bowl_1" and not fired[0].refused
    now = env.privileged()["objects"]
    assert 0.055 < np.linalg.norm((now["akita_black_bowl_1"] - start)[:2]) < 0.065
    assert abs(now["akita_black_bowl_1"][2] - start[2]) < 0.01
    assert all(np.linalg.norm(now[name] - place) < 0.002 for name, place in others.items())


def test_there_may_be_no_room(env):
    env.reset_scene(1)
    places = env.privileged()["objects"]
    onto = places["plate_1"] - places["akita_black_bowl_1"]
    inside = (onto - np.array([0.0, 0.0, 0.02]))[None]
    assert env.shift_object("akita_black_bowl_1", inside) == -1
    assert np.array_equal(
        env.privileged()["objects"]["akita_black_bowl_1"], places["akita_black_bowl_1"]
    )


def test_a_camera_is_knocked(env):
    env.reset_scene(1)
    state, before = env.snapshot(), env.camera_images()
    env.knock_camera("base", np.array([0.05, 0.0, 0.0]), np.array([0.0, 0.1, 0.0]))
    after = env.camera_images()
    assert not np.array_equal(before["base"], after["base"])
    env.restore(state)
    assert np.array_equal(before["base"], env.camera_images()["base"])


def test_unknown_objects_are_one_line(env):
    with pytest.raises(ConfigError, match="unknown object 'akita_blak_bowl_1': did you mean"):
        env.shift_object("akita_blak_bowl_1", np.zeros((1, 3)))
