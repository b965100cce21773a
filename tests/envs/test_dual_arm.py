"""Control loop, options and errors of the shared base."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs import ENV_IDS
from envs.control_rate import substeps
from envs.instruction import decode_instruction, encode_instruction
from envs.robot.actions import (
    JOINT_HIGH,
    JOINT_LOW,
    from_unit,
    joint_to_tool_action,
    limit_step,
    max_change,
    to_unit,
    tool_to_joint_action,
)
from envs.robot.facts import JOINTS
from envs.robot.kinematics import DualArmKinematics, home_joints
from envs.robot.proprioception import proprio_vector, robot_state_from_vector
from xr0_sim.errors import ConfigError, SimulationError, Xr0SimError

ID = ENV_IDS["block_dismantling"]


@pytest.fixture(scope="module")
def env():
    env = gym.make(ID, observation="state").unwrapped
    yield env
    env.close()


def test_compiled_model_carries_the_robot_facts(env):
    env.reset(seed=0)
    servos = env.servo.joints()
    for arm in ("left", "right"):
        for name, facts in JOINTS.items():
            joint = env.model.joint(f"{arm}/{name}")
            assert joint.range == pytest.approx([facts.lower, facts.upper])
            assert env.model.jnt_actfrcrange[joint.id] == pytest.approx(
                [-facts.torque, facts.torque]
            )
            built = env.model.actuator(f"{arm}/{name}")
            assert built.gainprm[0] == pytest.approx(servos[name].kp)
            assert env.model.dof_armature[joint.dofadr[0]] == servos[name].armature


def test_ideal_servo_holds_against_gravity_and_follows():
    env = gym.make(ID, observation="state", servo="ideal").unwrapped
    env.reset(seed=0)
    for _ in range(30):
        env.advance(env._home)
    state = env.robot_state()
    wanted, _ = env.kinematics.forward(home_joints())
    assert np.abs(state.tool_pos - wanted).max() < 2e-4


def test_kinematics_agree_with_the_scene(env):
    env.reset(seed=0)
    state = env.robot_state()
    pos, quat = env.kinematics.forward(state.joint_pos)
    assert np.allclose(pos, state.tool_pos, atol=1e-9)
    assert np.allclose(np.abs((quat * state.tool_quat).sum(-1)), 1.0, atol=1e-9)


def test_inverse_kinematics_reach_the_workspace():
    kinematics = DualArmKinematics()
    pos, quat = kinematics.forward(home_joints())
    for shift in ([0.1, -0.1, -0.12], [0.15, 0.0, -0.1], [-0.1, 0.1, 0.1]):
        goal = pos + np.array([shift, np.array(shift) * [1, -1, 1]])
        joints = kinematics.inverse(home_joints(), goal, quat, iterations=30)
        assert np.abs(kinematics.forward(joints)[0] - goal).max() < 5e-4


def test_tool_and_joint_actions_are_inverse():
    kinematics = DualArmKinematics()
    home = np.concatenate([[*row, 0.5] for row in home_joints()])
    target = home + np.where(np.arange(14) % 7 == 6, 0.1, 0.02)
    tool = joint_to_tool_action(target, kinematics)
    back = home
    for _ in range(5):
        back = tool_to_joint_action(tool, back, kinematics)
    assert np.abs(back - target).max() < 1e-4


def test_targets_obey_range_and_speed():
    low, high = np.full(14, -100.0), np.full(14, 100.0)
    previous = (JOINT_LOW + JOINT_HIGH) / 2
    assert np.allclose(limit_step(high, previous), np.minimum(previous + max_change(), JOINT_HIGH))
    assert np.allclose(limit_step(low, previous), np.maximum(previous - max_change(), JOINT_LOW))


def test_physics_step_must_divide_the_tick():
    assert substeps(1 / 600) == 20
    with pytest.raises(ConfigError, match="1/\\(30"):
        substeps(0.003)
    with pytest.raises(ConfigError):
        gym.make(ID, timestep_s=0.004)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_bricks": 0}, "n_bricks"),
        ({"layout": "layerd"}, "layered"),
        ({"observation": "pixel"}, "pixels"),
        ({"action_mode": "joints"}, "joint"),
        ({"image_size": 8}, "image_size"),
        ({"image_size": 64.5}, "image_size: expected a whole number 32 .. 1024 px, got 64.5"),
        ({"image_size": "128"}, "image_size"),
        ({"image_size": True}, "image_size"),
        ({"render_size": 540}, "render_size: expected .height, width."),
        ({"render_size": (540, 0)}, "render_size"),
        ({"render_size": (540, 960, 3)}, "render_size"),
        ({"timestep_s": 0}, "timestep_s: expected 1/30000 .. 1/30 s, got 0"),
        ({"timestep_s": float("nan")}, "timestep_s"),
        ({"timestep_s": float("inf")}, "timestep_s"),
        ({"timestep_s": -1 / 600}, "timestep_s"),
        ({"timestep_s": 1e-12}, "timestep_s"),
        ({"timestep_s": "1/600"}, "timestep_s"),
        ({"instruction_style": "sides"}, "side"),
        ({"n_bricks": "2"}, "n_bricks: expected a whole number, got '2'"),
        ({"n_bricks": 2.0}, "n_bricks: expected a whole number, got 2.0"),
        ({"n_bricks": True}, "n_bricks: expected a whole number, got True"),
        ({"layout": None}, "layout: expected text, got None"),
        ({"instruction_style": 7}, "expected text, got 7"),
        ({"observation": None}, "unknown observation None"),
        ({"action_mode": []}, "unknown action mode"),
    ],
)
def test_bad_arguments_get_one_clear_line(kwargs, message):
    with pytest.raises(Xr0SimError, match=message) as caught:
        gym.make(ID, **kwargs)
    assert "\n" not in str(caught.value)


def test_bad_actions_and_options_are_refused(env):
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="shape"):
        env.step(np.zeros(3))
    with pytest.raises(ConfigError, match="NaN"):
        env.step(np.full(14, np.nan))
    for action in (np.full(14, "a"), np.zeros(14, complex), np.full(14, None), None):
        with pytest.raises(ConfigError, match="action: expected"):
            env.step(action)
    for seed in (-1, 1.5, "0", True):
        with pytest.raises(ConfigError, match="seed: expected"):
            env.reset(seed=seed)
    for options in ("x", [1], {"rule": 5}, {"instruction": 7}, {"instruction": ["sort"]}):
        with pytest.raises(ConfigError, match="expected"):
            env.reset(seed=0, options=options)
    with pytest.raises(ConfigError, match="events"):
        env.reset(seed=0, options={"event": ["shove"]})
    with pytest.raises(ConfigError, match="shove"):
        env.reset(seed=0, options={"events": ["shov"]})


@pytest.mark.parametrize("task", ENV_IDS)
@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.advance(np.zeros(14)),
        lambda env: env.step(np.zeros(14)),
        lambda env: env.render(),
        lambda env: env.robot_state(),
        lambda env: env.observe(),
        lambda env: env.camera_images(),
        lambda env: env.snapshot(),
        lambda env: env.restore(None),
        lambda env: env.privileged(),
        lambda env: env.privileged_vector(),
        lambda env: env.phase,
        lambda env: env.instruction,
        lambda env: env.data.qpos,
        lambda env: env.model.nq,
        lambda env: env.redraw_instruction(np.random.default_rng(0)),
        lambda env: env.freeze_camera("base", 1.0),
        lambda env: env.move_light("key", np.zeros(3)),
        lambda env: env.rehearsal().__enter__(),
    ],
)
def test_what_an_episode_brings_is_asked_for_before_the_first_reset(task, call):
    env = gym.make(ENV_IDS[task], observation="state", render_mode="rgb_array").unwrapped
    with pytest.raises(ConfigError, match="expected a reset first"):
        call(env)
    assert not hasattr(env, "instruction") and env.tick == 0
    env.close()


def test_numpy_integers_are_the_numbers_they_are():
    plain = gym.make(ID, observation="state", n_bricks=2).unwrapped
    other = gym.make(
        ID, observation="state", n_bricks=np.int64(2), image_size=np.int32(64)
    ).unwrapped
    plain.reset(seed=3)
    other.reset(seed=np.int64(3))
    other.restore(plain.snapshot())
    assert type(other.level.n_bricks) is type(other.image_size) is int


def test_a_reset_that_is_refused_leaves_the_episode_as_it_was(env):
    env.reset(seed=0)
    env.advance(env._home)
    before = env.snapshot()
    for options in ({"instruction": "x" * 300}, {"events": ["shov"]}, {"unknown": 1}):
        with pytest.raises(ConfigError):
            env.reset(seed=1, options=options)
    env.np_random.bit_generator.state = before.rng
    assert env.tick == 1 and env.advance(env._home)[3]["tick"] == 2
    env.restore(before)


def test_an_attribute_that_does_not_exist_is_the_usual_error(env):
    env.reset(seed=0)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = env.nothing


def test_a_snapshot_of_another_episode_is_refused(env):
    env.reset(seed=0)
    own = env.snapshot()
    for seed, kwargs in ((1, {}), (0, {"n_bricks": 3})):
        other = gym.make(ID, observation="state", **kwargs).unwrapped
        other.reset(seed=seed)
        with pytest.raises(ConfigError, match="got one of another episode"):
            env.restore(other.snapshot())
    towel = gym.make(ENV_IDS["towel_folding"], observation="state").unwrapped
    towel.reset(seed=0)
    with pytest.raises(ConfigError, match="another episode"):
        env.restore(towel.snapshot())
    for wrong in (None, own.physics, "snapshot"):
        with pytest.raises(ConfigError, match="what snapshot"):
            env.restore(wrong)
    env.reset(seed=0, options={"events": ["shove"]})
    with pytest.raises(ConfigError, match="another episode"):
        env.restore(own)
    env.reset(seed=0)
    env.restore(own)
    twin = pickle.loads(pickle.dumps(env))
    twin.restore(own)


def test_instruction_round_trip_and_change():
    text = "sort – bitte"
    assert decode_instruction(encode_instruction(text)) == text
    with pytest.raises(ConfigError):
        encode_instruction("x" * 300)
    env = gym.make(ID, observation="state")
    first, _ = env.reset(seed=0)
    env.unwrapped.set_instruction("something else")
    second, *_ = env.step(to_unit(env.unwrapped._home))
    assert decode_instruction(first["instruction"]) != "something else"
    assert decode_instruction(second["instruction"]) == "something else"


def test_proprio_vector_round_trip(env):
    env.reset(seed=2)
    state = env.robot_state()
    back = robot_state_from_vector(proprio_vector(state))
    for name in ("joint_pos", "joint_vel", "jaw", "tool_pos", "tool_quat", "command"):
        assert np.allclose(getattr(back, name), getattr(state, name), atol=1e-6), name


@pytest.mark.parametrize(
    ("array", "value"),
    [("qvel", 1e6), ("qpos", np.nan), ("qvel", np.inf), ("xfrc_applied", np.nan)],
)
def test_physics_that_breaks_is_an_error_and_never_a_failed_episode(env, array, value):
    env.reset(seed=0)
    healthy = env.snapshot()
    getattr(env.data, array)[:] = value
    for _ in range(2):
        with pytest.raises(SimulationError, match="episode is invalid") as caught:
            env.advance(env._home)
        assert "\n" not in str(caught.value) and "tick 0" in str(caught.value)
    env.restore(healthy)
    assert env.advance(env._home)[3]["progress"] == 0.0
    env.reset(seed=0)
    assert env.advance(env._home)[3]["tick"] == 1


def test_a_rehearsal_that_breaks_leaves_the_episode_as_it_was(env):
    env.reset(seed=0)
    with pytest.raises(SimulationError), env.rehearsal():
        env.data.qvel[:] = np.nan
        env.advance(env._home)
    assert env.advance(env._home)[3]["tick"] == 1


@pytest.mark.slow
def test_an_hour_of_random_actions_stays_finite():
    env = gym.make(ID, observation="state", world="0.1").unwrapped
    for seed in range(20):
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        for tick in range(3 * 60 * 30):
            if tick % 15 == 0:
                goal = rng.uniform(env.action_space.low, env.action_space.high)
            observation, reward, *_ = env.step(goal)
            assert np.isfinite(reward)
            assert all(np.isfinite(v).all() for v in observation.values())


def test_unit_actions_round_trip():
    rng = np.random.default_rng(0)
    for mode in ("joint", "tool"):
        unit = rng.uniform(-1, 1, (50, 14)).astype(np.float32)
        assert np.allclose(to_unit(from_unit(unit, mode), mode), unit, atol=1e-6)
    assert np.allclose(from_unit(np.full(14, -1.0)), JOINT_LOW)
    assert np.allclose(from_unit(np.ones(14)), JOINT_HIGH)
