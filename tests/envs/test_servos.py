"""Servos as values, the torque-speed line, the described robot and the protective stop."""

import mujoco
import numpy as np
import pytest

from envs.robot.actions import join_arms, max_change, split_arms
from envs.robot.arms import Drive
from envs.robot.description import DESCRIBED_STROKE, arm_description
from envs.robot.facts import JOINTS
from envs.robot.kinematics import home_joints
from envs.robot.protective_stop import LIMIT_N
from envs.robot.servos import IdealServo, IdentifiedServo, Servo, find_servo
from envs.tasks import make_env
from envs.world import find_world
from policies.scripted.experts import make_expert
from policies.scripted.motion import ToolGoal, ToolMover
from xr0_sim.errors import ConfigError

SPEEDS = np.array([facts.speed for facts in JOINTS.values()])
LAGGING = "identified:feedforward=false"
IDEAL_KP = [359.7, 1369.1, 487.0, 19.9, 33.2, 7.1]


@pytest.fixture(scope="module")
def stages():
    """Environments by (world, servo), each compiled once."""
    made = {}

    def stage(servo="", world="0.2", **kwargs):
        key = (servo, world, *kwargs.items())
        if key not in made:
            made[key] = make_env("block_dismantling", world=world, servo=servo, **kwargs)
        made[key].reset_scene(0)
        return made[key]

    yield stage
    for env in made.values():
        env.close()


def ramp(env, joint, rate, ticks):
    """Moves one joint's command of the left arm at a steady rate; yields the state after."""
    joints, jaws = split_arms(env._command.copy())
    for _ in range(ticks):
        joints[0, joint] += rate / 30
        env.advance(join_arms(joints, jaws))
    return joints[0, joint], env.robot_state()


def test_the_identified_gains_are_the_published_ones(stages):
    model = stages().model
    kp = [43, 265, 227, 78, 37, 10.4]
    damping = [5.76, 20, 18.49, 6.78, 6.28, 1.2]
    for i, name in enumerate(JOINTS):
        servo, joint = model.actuator(f"right/{name}"), model.joint(f"right/{name}")
        dof = joint.dofadr[0]
        assert servo.gainprm[0] == kp[i] and servo.biasprm[1] == -kp[i]
        # The back-EMF stands beside the clamp; together they are the damping of the loop.
        emf = JOINTS[name].torque / JOINTS[name].speed
        passive = float(np.ravel(model.dof_damping[dof])[0])
        assert passive == pytest.approx(emf)
        assert passive - servo.biasprm[2] == pytest.approx(damping[i])
    armature = model.dof_armature[model.joint("left/shoulder").dofadr[0]]
    friction = model.dof_frictionloss[model.joint("left/elbow").dofadr[0]]
    assert (armature, friction) == (0.395, 1.15)


def test_the_first_world_keeps_its_robot(stages):
    model = stages(world="0.1").model
    kp = [model.actuator(f"left/{name}").gainprm[0] for name in JOINTS]
    assert np.round(kp, 1).tolist() == IDEAL_KP
    assert model.joint("left/left_finger").range[1] == 0.045
    assert (model.body_gravcomp[model.body("left/upper_arm_link").id]) == 1.0
    assert not model.dof_frictionloss.any()
    assert not model.actuator_forcelimited[:6].any()


@pytest.mark.parametrize("servo", [LAGGING, "identified", "ideal"])
def test_a_steady_joint_trails_its_command_by_the_stated_lag(stages, servo):
    env = stages(servo)
    rate, waist = 0.5, 0
    command, state = ramp(env, waist, rate, 40)
    trail = command - state.joint_pos[0, waist]
    drive = Drive.of(env.world, env.servo)
    stated = 0.0 if env.servo.feedforward else drive.lags_s()[waist]
    assert trail == pytest.approx(stated * rate, abs=0.15 * 5.76 / 43 * rate)
    assert state.joint_vel[0, waist] == pytest.approx(rate, rel=0.05)


def test_what_is_not_compensated_hangs_as_deep_as_stated(stages):
    for share in (0.0, 0.5):
        env = stages(f"identified:gravity_compensation={share}")
        home, jaws = split_arms(env._home)
        for _ in range(60):
            env.advance(join_arms(home, jaws))
        # Dry friction holds the shoulder and the elbow off their balance by at most itself.
        sag = env.kinematics.following.sag(env.robot_state().joint_pos)
        play = np.array([j.friction / j.kp for j in env.servo.joints().values()]) + 1e-3
        assert (np.abs(home - env.robot_state().joint_pos - sag) < play).all()
        assert np.abs(sag).max() > 0.005
    assert env.model.body_gravcomp[env.model.body("brick0").id] == 0.0


def test_an_episode_begins_at_rest(stages):
    env = stages()
    before = env.robot_state()
    for _ in range(15):
        env.advance(before.command)
    after = env.robot_state()
    assert np.abs(after.tool_pos - before.tool_pos).max() < 5e-4
    assert np.abs(before.joint_pos - home_joints()).max() < 1e-12


def fastest_share(env, away=0.35):
    """Fastest joint over its limit while commands jump to and fro as far as they may."""
    fastest = np.zeros(6)
    dofs = env._ports.joint_dof.reshape(2, 6)

    def watch():
        np.maximum(fastest, np.abs(env.data.qvel[dofs]).max(axis=0), out=fastest)

    env.watch_physics(watch)
    for tick in range(60):
        target = home_joints() + (away if tick // 10 % 2 else -away)
        env.advance(join_arms(target, np.full(2, 0.5)))
    env.watch_physics(None)
    return float((fastest / SPEEDS).max())


@pytest.mark.parametrize("servo", ["identified", LAGGING])
def test_measured_speed_stays_at_its_limit(stages, servo):
    assert 0.8 < fastest_share(stages(servo)) < 1.05
    assert fastest_share(stages(servo), 0.6) < 1.10
    assert max_change()[0] == pytest.approx(SPEEDS[0] / 30)


def test_the_line_bounds_the_ideal_servo_too(stages):
    """Coupled joints carry a light one along; commands alone drive none beyond."""
    assert fastest_share(stages("ideal", "0.1")) > 1.5
    assert fastest_share(stages("ideal")) < 1.3


def test_torque_falls_to_nothing_at_the_no_load_speed(stages):
    env = stages()
    model, data = env.model, mujoco.MjData(env.model)
    name = "left/waist"
    joint, servo = model.joint(name), model.actuator(name).id
    dof, facts = joint.dofadr[0], JOINTS["waist"]
    for share, expected in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        mujoco.mj_resetData(model, data)
        data.qvel[dof] = share * facts.speed
        data.ctrl[servo] = 3.0  # far ahead: the servo gives what it can
        mujoco.mj_forward(model, data)
        torque = data.qfrc_actuator[dof] + data.qfrc_passive[dof]
        assert torque == pytest.approx(expected * facts.torque, abs=0.02 * facts.torque)


def test_the_described_robot_has_the_published_inertias():
    """Principal moments as the public menagerie derives them from the same description."""
    model = arm_description("described").compile()
    published = {
        "shoulder_link": (0.00120156, 0.00113744, 0.0009388),
        "upper_arm_link": (0.00911338, 0.008925, 0.000759317),
        "upper_forearm_link": (0.00144107, 0.00134228, 0.000152047),
        "lower_forearm_link": (0.0005911, 0.000546493, 0.000155707),
        "wrist_link": (5.45707e-05, 4.63101e-05, 4.32692e-05),
    }
    for name, moments in published.items():
        assert model.body_inertia[model.body(name).id] == pytest.approx(moments, rel=2e-3)
    gripper = model.body("gripper_link")
    assert gripper.mass[0] == pytest.approx(0.097666 + 0.008009 + 0.150986)
    assert model.body("lower_forearm_link").ipos[1] == pytest.approx(0.00680462)
    assert model.joint("left_finger").range[1] == DESCRIBED_STROKE == 0.036


def test_free_motion_is_no_contact_and_contact_is():
    for servo in (LAGGING, "identified"):
        env = make_env("block_dismantling", servo=servo)
        env.reset_scene(3)
        expert, mover = make_expert(env), ToolMover(env.kinematics)
        pos, quat = env.kinematics.forward(home_joints())
        seen = {"free": [], "table": []}
        for kind, shift in (("free", (0.08, 0.05, 0.12)), ("table", (-0.1, 0.05, -0.35))):
            turned = np.array([shift, np.array(shift) * [1, -1, 1]])
            goals = [ToolGoal(pos[a] + turned[a], quat[a], 0.5, 0.3) for a in range(2)]
            for _ in range(70):
                state = env.robot_state()
                for arm, (there, _) in enumerate(expert.commanded(state)):
                    gap = float(np.linalg.norm(there - state.tool_pos[arm]))
                    seen[kind].append(expert.blocked(state, arm, gap, 0.006))
                env.advance(mover.action(state, tuple(goals)))
        assert not any(seen["free"]), servo
        assert all(seen["table"][-4:]), servo
        env.close()


def crush(env, ticks=60):
    """Drives the arms into each other; the last info."""
    joints, _ = split_arms(env._home)
    pos, quat = env.kinematics.forward(joints)
    goal = pos.copy()
    goal[:, 1], goal[:, 2] = (-0.1, 0.1), 0.15
    for _ in range(ticks):
        joints = env.kinematics.inverse(joints, goal, quat, iterations=5)
        reward = env.advance(join_arms(joints, np.full(2, 0.8)))
        if reward[1]:
            break
    return reward


def test_a_crushing_command_stops_the_arms_as_a_failure(stages):
    env = stages()
    _, terminated, truncated, info = crush(env)
    assert terminated and not truncated and not info["success"] and not info["is_success"]
    link, _, rest = info["protective_stop"].partition(" was pressed on with ")
    assert link.startswith(("left/", "right/")) and float(rest.split()[0]) >= LIMIT_N
    held, state = env.robot_state().command, env.snapshot()
    _, terminated, _, info = env.advance(env._home)
    assert terminated and (env.robot_state().command == held).all()
    env.reset_scene(0)
    _, terminated, _, info = env.advance(env._home)
    assert not terminated and info["protective_stop"] == ""
    assert state.protective_stop[-1]


def test_a_snapshot_carries_the_stop(stages):
    env = stages()
    before = env.snapshot()
    crush(env)
    after = env.snapshot()
    env.restore(before)
    assert not env.advance(env._home)[3]["protective_stop"]
    env.restore(after)
    assert env.advance(env._home)[3]["protective_stop"]


def test_the_first_world_knows_no_stop(stages):
    assert crush(stages(world="0.1"), 30)[3]["protective_stop"] == ""


class HalfServo(Servo):
    """Has a servo for the waist alone."""

    def joints(self):
        return {"waist": IdentifiedServo().joints()["waist"]}

    def jaw(self):
        return IdentifiedServo().jaw()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("idael", "did you mean 'ideal'"),
        ("identified:feed=true", "feedforward"),
        ("identified:gravity_compensation=2", "expected 0 .. 1, got 2.0"),
        (3, "expected an envs.robot.servos.Servo, got 3"),
        (HalfServo(), "none for elbow"),
    ],
)
def test_servos_that_are_none(given, words):
    with pytest.raises(ConfigError) as error:
        find_servo(given)
    assert words in str(error.value)


def test_a_servo_of_ones_own_drives_the_arms(stages):
    class Soft(IdealServo):
        """Half as stiff."""

        def joints(self):
            soft = {}
            for name, joint in super().joints().items():
                soft[name] = type(joint)(joint.kp / 2, joint.kd, joint.armature)
            return soft

    env = make_env("block_dismantling", servo=Soft())
    env.reset_scene(0)
    stock = IdealServo().joints()["elbow"].kp
    assert env.model.actuator("left/elbow").gainprm[0] == pytest.approx(stock / 2)
    assert find_world("0.2").servo == "identified"
    env.close()
