"""The control rate: what counts ticks for seconds lasts as long at every rate."""

import math

import gymnasium as gym
import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from envs.control_rate import check_recorded_rate
from envs.events import check_events
from envs.robot.actions import limit_step, split_arms
from envs.robot.facts import JAW_SPEED, JOINTS
from envs.tasks import task_spec
from envs.towel_folding.env import TowelFoldingEnv
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import choose_events, time_limit_ticks
from xr0_sim.errors import ConfigError

RATES = (10, 30, 50)
TASKS = {"block_dismantling": BlockDismantlingEnv, "towel_folding": TowelFoldingEnv}


def blocks(hz, **chosen):
    return BlockDismantlingEnv(observation="state", control_hz=hz, **chosen)


def held(env, text, seconds, seed=3):
    """Holds still under events for a while; every info."""
    task = "towel_folding" if isinstance(env, TowelFoldingEnv) else "block_dismantling"
    env.reset_scene(seed, {"events": list(choose_events(task, text))})
    return [env.advance(env._command)[3] for _ in range(round(seconds * env.control_hz))]


@pytest.mark.parametrize(
    ("task", "hz", "steps", "step_s"),
    [
        *(("block_dismantling", hz, n, 1 / 1200) for hz, n in ((10, 120), (30, 40), (50, 24))),
        *(("towel_folding", hz, n, 1 / 180) for hz, n in ((10, 18), (30, 6))),
        # 3.6 steps of 1/180 s would fill a tick of 20 ms.
        ("towel_folding", 50, 4, 1 / 200),
    ],
)
def test_the_physics_keeps_its_step_or_takes_the_nearest_that_divides_the_tick(
    task, hz, steps, step_s
):
    env = TASKS[task](observation="state", control_hz=hz)
    assert (env.substeps, env.timestep_s) == (steps, pytest.approx(step_s, rel=1e-12))
    assert env.metadata["render_fps"] == hz
    env.reset_scene(0)
    for _ in range(hz // 2):
        env.advance(env._command)
    assert env.data.time == pytest.approx(0.5) and env.time_ns == 500_000_000


@pytest.mark.parametrize("hz", RATES)
def test_time_limits_and_events_are_in_seconds(hz):
    options = TaskOptions(env=f"block_dismantling:control_hz={hz}")
    assert time_limit_ticks("block_dismantling", options.env_kwargs(), None) == 40 * hz
    made = gym.make("xr0_sim/BlockDismantling-v0", observation="state", control_hz=hz)
    assert made.spec.max_episode_steps == 40 * hz
    fired = [e for info in held(blocks(hz), "teleport@2s", 2.2) for e in info["events"]]
    assert [(e.tick, e.time_ns) for e in fired] == [(2 * hz, 2_000_000_000)]
    events = choose_events("block_dismantling", "teleport@2s")
    check_events(events, BlockDismantlingEnv, 2 * hz + 1, control_hz=hz)
    with pytest.raises(ConfigError, match=rf"tick {2 * hz} \(2 s\), got tick {2 * hz} at"):
        check_events(events, BlockDismantlingEnv, 2 * hz, control_hz=hz)


@pytest.mark.parametrize("hz", RATES)
def test_commands_keep_their_speeds_in_radians_per_second(hz):
    env = blocks(hz, servo="ideal")
    env.reset_scene(0)
    before = env._command.copy()
    env.advance(env._command + 50.0)
    speed = (env._command - before) * hz
    per_arm = [*(joint.speed for joint in JOINTS.values()), JAW_SPEED]
    limits = np.array(per_arm * 2)
    free = limit_step(before + 50.0, before, hz) - before < limits / hz - 1e-12  # a joint's end
    assert speed[~free] == pytest.approx(limits[~free]) and (speed <= limits + 1e-9).all()
    assert (~free).sum() >= 8


@pytest.mark.parametrize("hz", RATES)
def test_a_brick_counts_after_half_a_second_of_rest(hz):
    env = blocks(hz)
    env.reset_scene(0, {"rule": dict.fromkeys(("red", "yellow", "blue", "green"), 0)})
    env.open_clutches()
    place = env._brick_qpos[0]
    env.data.qpos[place[:3]] = [*env.bins[0], env._half_size[0][2] + 0.0002]
    env.data.qpos[place[3:]] = [1.0, 0.0, 0.0, 0.0]
    seen = [env.advance(env._command)[3]["bricks"][0] for _ in range(hz)]
    # It has to come to rest first: within 0.1 s, and one tick is counted whole.
    assert 0.5 - 2 / hz <= (seen.index("sorted") + 1) / hz <= 0.6 + 1 / hz


@pytest.mark.parametrize("hz", RATES)
def test_a_belt_runs_at_its_speed_and_a_push_lasts_as_long(hz):
    last = held(blocks(hz, world="0.2"), "drift:speed=0.05@0.5s", 1.0)[-1]
    assert [run["ran_m"] for run in last["drifts"]] == pytest.approx([0.05 * 0.5])
    (push,) = held(blocks(hz), "shove:distance_m=0.04@0.2s", 1.0)[-1]["pushes"]
    assert push["duration_s"] == pytest.approx(0.04 / 0.3, abs=0.07)
    assert push["moved_m"] == pytest.approx(0.04, abs=0.012)


@pytest.mark.parametrize("hz", RATES)
def test_senses_are_late_and_faults_last_in_seconds(hz):
    env = blocks(hz, senses="clean:joint_delay_s=0.2")
    env.reset_scene(1)
    goal, truth = env._command.copy(), []
    goal[0] += 0.5
    for _ in range(hz):
        truth.append(env.robot_state().joint_pos)
        env.advance(goal)
    assert np.array_equal(env.measured_state().joint_pos, truth[-round(0.2 * hz)])

    stale = blocks(hz)
    events = list(choose_events("block_dismantling", "stale_joints:duration_s=0.4@0.2s"))
    stale.reset_scene(1, {"events": events})
    same = []
    for _ in range(hz):
        stale.advance(goal)
        read, true = stale.measured_state().joint_pos, stale.robot_state().joint_pos
        same.append(not np.array_equal(read, true))
    # From the tick after it began to the tick before it ends.
    assert np.flatnonzero(same).tolist() == list(range(round(0.2 * hz), round(0.6 * hz) - 1))


@pytest.mark.parametrize("hz", RATES)
def test_a_gust_blows_as_long_on_the_towel(hz):
    env = TowelFoldingEnv(observation="state", grid=9, control_hz=hz)
    env.reset_scene(0)
    env.blow(np.array([0.0, 0.0, 0.01]), 0.3)
    blown = []
    for _ in range(hz):
        blown.append(bool(env.data.xfrc_applied.any()))
        env.advance(env._command)
    assert sum(blown) == math.ceil(0.3 * hz) and env._hands.untouched == hz
    env.advance(env._command)
    assert env._hands.untouched == hz  # no more than a second's


@pytest.mark.parametrize(
    ("task", "text", "told"),
    [
        ("block_dismantling", "control_hz=4", "control_hz: expected a whole number 5 .. 100 Hz"),
        ("towel_folding", "control_hz=101", "control_hz: expected a whole number 5 .. 100 Hz"),
        ("block_dismantling", "control_hz=12.5", "control_hz"),
        ("towel_folding", "control_hz=50,world=0.1", "control_hz: expected 30 in world 0.1"),
        ("block_dismantling", "control_hz=10,world=0.1", "control_hz: expected 30 in world 0.1"),
    ],
)
def test_other_rates_are_refused_in_one_line(task, text, told):
    with pytest.raises(ConfigError) as caught:
        TaskOptions(env=f"{task}:{text}").env_kwargs()
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_step_that_does_not_divide_the_tick_is_refused():
    with pytest.raises(ConfigError, match=r"1/\(50·n\) s for a whole n, got 0.0055.*1/200"):
        TowelFoldingEnv(observation="state", control_hz=50, timestep_s=1 / 180)
    for wrong in (True, "30", 30.0, 0):
        with pytest.raises(ConfigError, match=r"whole number 5 \.\. 100"):
            blocks(wrong)
    with pytest.raises(ConfigError, match="policy x: expected an environment at 30 Hz"):
        check_recorded_rate(50, 30, "policy x")


@pytest.mark.parametrize("task", TASKS)
def test_captions_name_a_rate_that_is_not_the_usual_one(task):
    usual, other = (TaskOptions(env=f"{task}:control_hz={hz}").env_kwargs() for hz in (30, 50))
    spec = task_spec(task)
    assert "Hz" not in spec.describe(usual) and ", 50 Hz" in spec.describe(other)
    assert usual == TaskOptions(env=task).env_kwargs() and spec.rate(other) == 50
    older = {name: value for name, value in usual.items() if name != "control_hz"}
    assert spec.rate(older) == 30 and spec.describe(older) == spec.describe(usual)


def test_the_lead_of_the_servos_does_not_depend_on_the_rate():
    """A joint that is driven at a steady rate is where it is told at every rate."""
    errors = []
    for hz in RATES:
        env = blocks(hz, servo="ideal")
        env.reset_scene(0)
        command = env._command.copy()
        for _ in range(hz):
            command[0] += 0.4 / hz
            env.advance(command)
        joints, _ = split_arms(env._command)
        errors.append(float(joints[0, 0] - env.robot_state().joint_pos[0, 0]))
    assert np.abs(errors).max() < 0.002
