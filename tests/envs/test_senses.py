"""What the policy perceives: noise, exposure, blur, delay, steps; and who does not notice."""

import math
import pickle

import numpy as np
import pytest

from envs.senses import EpisodeSenses, Senses
from envs.senses.base import GREY_LEVELS
from envs.senses.pictures import blurred, developed, episode_gains, noise_variance
from envs.senses.readings import JAW_PER_RAD, RPM, between, encoded, in_steps
from envs.tasks import make_env
from policies.scripted.experts import make_expert
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.registry import senses

SIZE = 48
STEP = 2 * math.pi / 4096


def stage(text="clean", **kwargs):
    return make_env("block_dismantling", image_size=SIZE, senses=text, **kwargs)


def grey(level):
    return np.full((64, 64, 3), level, np.uint8)


def perfect(**changes):
    kept = {"gains": np.ones(3), "blur_px": 0.0, "shot_noise": 0.0, "read_noise": 0.0}
    return {**kept, "rng": np.random.default_rng(0), **changes}


def moved(env, ticks):
    """Plays the expert, so that pictures differ from tick to tick."""
    expert = make_expert(env)
    for _ in range(ticks):
        env.advance(expert.action(env.robot_state(), env.privileged()))


# -------------------------------------------------------------------- pictures
def test_a_perfect_camera_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(developed(picture, **perfect()), picture)


@pytest.mark.parametrize("level", [0, 64, 128])
def test_noise_has_the_spread_that_is_asked_for(level):
    shot, read = 8.0, 3.0
    wanted = math.sqrt(read**2 + shot**2 * level / GREY_LEVELS)
    seen = developed(grey(level), **perfect(shot_noise=shot, read_noise=read)).astype(float)
    if level == 0:  # the dark half is cut at black
        assert seen.std() == pytest.approx(wanted * 0.583, rel=0.05)
    else:
        assert seen.mean() == pytest.approx(level, abs=0.3)
        # Rounding to grey levels adds its twelfth.
        assert seen.std() == pytest.approx(math.sqrt(wanted**2 + 1 / 12), rel=0.03)


def test_photon_noise_grows_with_the_root_of_the_light():
    dark, bright = noise_variance(np.array([50.0, 200.0], np.float32), 5.0, 0.0)
    assert math.sqrt(bright / dark) == pytest.approx(2.0)


def test_exposure_is_a_factor_that_ends_at_white():
    half = developed(grey(100), **perfect(gains=np.full(3, 0.5)))
    double = developed(grey(200), **perfect(gains=np.full(3, 2.0)))
    assert np.all(half == 50) and np.all(double == 255)


def test_gains_stay_within_their_ranges():
    drawn = np.array([episode_gains(np.random.default_rng(k), 0.5, 0.1) for k in range(400)])
    assert drawn[:, 1].min() >= 2**-0.5 and drawn[:, 1].max() <= 2**0.5
    tint = drawn[:, 0] / drawn[:, 1] - 1
    assert 0.09 < abs(tint).max() <= 0.1 + 1e-12
    assert np.allclose(drawn[:, 2] / drawn[:, 1], 1 - tint)


def test_blur_keeps_the_light_and_has_its_width():
    light = np.zeros((41, 41, 1), np.float32)
    light[20, 20] = 100.0
    spot = blurred(light, 1.5)[..., 0]
    assert spot.sum() == pytest.approx(100.0, rel=1e-5)
    row = np.arange(41) - 20
    assert math.sqrt((spot.sum(0) * row**2).sum() / 100.0) == pytest.approx(1.5, rel=0.02)
    assert blurred(light, 0.0) is light


# -------------------------------------------------------------------- encoders
def test_readings_lie_on_encoder_steps():
    env = stage()
    env.reset_scene(0)
    moved(env, 20)
    robot = env.robot_state()
    rng = np.random.default_rng(0)
    seen = encoded(robot, noise_rad=0.0, counts=4096, speed_unit_rpm=0.229, rng=rng)
    for got, true, step in (
        (seen.joint_pos, robot.joint_pos, STEP),
        (seen.joint_vel, robot.joint_vel, 0.229 * RPM),
        (seen.jaw, robot.jaw, JAW_PER_RAD * STEP),
    ):
        assert np.allclose(got / step, np.rint(got / step), atol=1e-9)
        assert 0 < np.abs(got - true).max() <= step / 2 + 1e-12
    assert math.degrees(STEP) == pytest.approx(0.0879, abs=1e-4)


def test_joint_noise_has_its_spread():
    env = stage()
    env.reset_scene(0)
    robot, rng = env.robot_state(), np.random.default_rng(0)
    errors = [
        encoded(robot, noise_rad=0.01, counts=0, speed_unit_rpm=0, rng=rng).joint_pos
        - robot.joint_pos
        for _ in range(300)
    ]
    assert np.std(errors) == pytest.approx(0.01, rel=0.05)


def test_a_reading_between_two_lies_on_their_line():
    env = stage()
    env.reset_scene(0)
    first = env.robot_state()
    moved(env, 5)
    last = env.robot_state()
    mixed = between(first, last, 0.25)
    assert np.allclose(mixed.joint_pos, 0.75 * first.joint_pos + 0.25 * last.joint_pos)
    assert in_steps(mixed.joint_pos, 0.0) is mixed.joint_pos


def test_measured_tools_follow_from_measured_joints():
    env = stage("realistic")
    env.reset_scene(0)
    moved(env, 10)
    seen = env.measured_state()
    pos, quat = env.kinematics.forward(seen.joint_pos)
    assert np.array_equal(pos, seen.tool_pos) and np.array_equal(quat, seen.tool_quat)
    assert np.array_equal(seen.command, env.robot_state().command)
    assert 0 < np.abs(pos - env.robot_state().tool_pos).max() < 0.01


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_delay_of_whole_ticks_shows_the_older_reading(ticks):
    env = stage(f"clean:joint_delay_s={ticks / CONTROL_HZ}")
    env.reset_scene(0)
    truth = [env.robot_state()]
    expert = make_expert(env)
    for tick in range(12):
        seen = env.measured_state()
        assert np.array_equal(seen.joint_pos, truth[max(0, tick - ticks)].joint_pos)
        assert np.array_equal(seen.joint_vel, truth[max(0, tick - ticks)].joint_vel)
        env.advance(expert.action(env.robot_state(), env.privileged()))
        truth.append(env.robot_state())


# -------------------------------------------------------------------- the environment
def test_clean_senses_are_the_pictures_and_joints_themselves():
    env, plain = stage("clean"), make_env("block_dismantling", image_size=SIZE)
    for each in (env, plain):
        each.reset_scene(3)
        moved(each, 8)
    seen, true = env.observe(), plain.observe()
    assert all(np.array_equal(seen.images[c], true.images[c]) for c in CAMERAS)
    assert np.array_equal(seen.robot.joint_pos, env.robot_state().joint_pos)
    assert env.measured_state().joint_vel.tobytes() == env.robot_state().joint_vel.tobytes()


@pytest.mark.parametrize(
    ("task", "level"), [("block_dismantling", {}), ("towel_folding", {"grid": 9})]
)
def test_a_delay_shows_the_older_picture_exactly(task, level):
    delay = 2
    late = f"clean:camera_delay_s={delay / CONTROL_HZ}"
    env = make_env(task, image_size=SIZE, senses=late, **level)
    clean = make_env(task, image_size=SIZE, senses="clean", **level)
    shots = []
    for each in (env, clean):
        each.reset_scene(1)
    expert = make_expert(env)
    for tick in range(9):
        shots.append(clean.camera_images())
        seen = env.camera_images()
        for camera in CAMERAS:
            assert np.array_equal(seen[camera], shots[max(0, tick - delay)][camera]), tick
        if tick == 4:  # what an event does to the scene shows late, too
            for each in (env, clean):
                each.knock_camera("base", np.array([0.0, 0.02, 0.0]), np.zeros(3))
        action = expert.action(env.robot_state(), env.privileged())
        env.advance(action)
        clean.advance(action)
    assert not np.array_equal(shots[0]["left_wrist"], shots[-1]["left_wrist"])


def test_jitter_never_shows_a_later_frame_before_an_earlier_one():
    watcher = EpisodeSenses(Senses(camera_delay_s=0.02, camera_jitter_s=0.1), 5)
    for camera in CAMERAS:
        taken = [watcher.frame_tick(camera, tick) for tick in range(200)]
        ages = np.arange(200) - taken
        assert np.all(np.diff(taken) >= 0)
        assert ages[10:].min() >= 1 and ages.max() <= 4 and len(set(ages[10:])) > 1


def test_the_same_seed_perceives_the_same_however_often_one_looks():
    seen = []
    for looks in (1, 3):
        env = stage("realistic")
        env.reset_scene(7)
        moved(env, 6)
        for _ in range(looks):
            shot = env.observe()
        seen.append(shot)
    first, second = seen
    assert all(np.array_equal(first.images[c], second.images[c]) for c in CAMERAS)
    assert first.robot.joint_pos.tobytes() == second.robot.joint_pos.tobytes()
    env.reset_scene(8)
    moved(env, 6)
    assert not np.array_equal(env.camera_images()["base"], second.images["base"])


def test_a_snapshot_carries_what_is_still_on_its_way():
    env = stage("realistic:camera_delay_s=0.1,joint_delay_s=0.05")
    env.reset_scene(2)
    moved(env, 6)
    state, before = env.snapshot(), env.observe()
    moved(env, 9)
    env.restore(state)
    after = env.observe()
    assert all(np.array_equal(before.images[c], after.images[c]) for c in CAMERAS)
    assert before.robot.joint_pos.tobytes() == after.robot.joint_pos.tobytes()
    copy = pickle.loads(pickle.dumps(env))
    assert all(np.array_equal(copy.camera_images()[c], before.images[c]) for c in CAMERAS)


def test_senses_alter_neither_the_scene_nor_what_the_expert_does():
    logs = []
    for text in ("clean", "realistic"):
        env = stage(text)
        env.reset_scene(4)
        expert, log = make_expert(env), []
        for tick in range(25):
            if tick % 6 == 0:
                env.observe()
            _, _, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
            log.append((env.data.qpos.tobytes(), env.robot_state().joint_vel.tobytes()))
        logs.append((log, info["progress"], env.instruction))
    assert logs[0] == logs[1]


def test_gymnasium_observations_are_perceived_too():
    env = make_env("block_dismantling", image_size=SIZE, senses="realistic")
    env.observation_mode = "pixels"
    seen, _ = env.reset(seed=0)
    robot = env.robot_state()
    assert np.abs(seen["proprio"][:12] - robot.joint_pos.ravel()).max() > 1e-4
    assert np.array_equal(seen["image_base"], env.camera_images()["base"])


def test_cameras_are_put_up_anew_in_every_episode():
    env = stage("clean:camera_shift_m=0.01,camera_turn_deg=2")
    places = []
    for seed in (0, 1, 0):
        env.reset_scene(seed)
        places.append(env.model.camera("base").pos.copy())
    nominal = stage()
    nominal.reset_scene(0)
    offset = places[0] - nominal.model.camera("base").pos
    assert np.array_equal(places[0], places[2]) and not np.allclose(places[0], places[1])
    assert 0 < np.abs(offset).max() <= 0.01


# -------------------------------------------------------------------- names and refusals
def test_every_preset_names_its_source():
    assert {"clean", "realistic"} <= set(senses)
    for name in senses:
        assert isinstance(senses[name], Senses) and senses.entry(name).source
    assert senses["clean"] == Senses()


def test_fields_can_be_set_by_text():
    assert senses.parse("realistic:blur_px=2").blur_px == 2.0
    assert senses.parse("clean:encoder_counts=1024").encoder_counts == 1024


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("realistic:blurr_px=1", "blur_px"),
        ("realistik", "realistic"),
        ("clean:blur_px=-1", "blur_px"),
        ("clean:camera_delay_s=3", "0 .. 1 s"),
        ("clean:encoder_counts=3", "16"),
        ("clean:shot_noise=nan", "shot_noise"),
    ],
)
def test_a_wrong_word_is_refused_in_one_line(text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        stage(text)
    assert "\n" not in str(caught.value)
