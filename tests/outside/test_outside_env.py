"""A simulator in another process behind executor, strategies, events, twins and studies."""

import json

import numpy as np
import pytest
from fake_simulator import DIES, HANGS, NOT_FINITE, RAISES
from outside_toys import FakeEnv, Reach

from envs.plant import EnvPlant
from envs.tasks import own_preset, register_events, task_spec
from experiments.cli import main
from experiments.runner.condition import choose_events, make_condition
from experiments.runner.episode_run import EpisodeTask
from experiments.runner.seed_run import run_seed
from experiments.study import Study
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.signals.cameras import FreezeCamera
from xr0_sim.perturb.signals.late import DelayCamera
from xr0_sim.perturb.triggers import AtTick
from xr0_sim.record import TickLog
from xr0_sim.runtime import Executor, NaiveAsync, Sync, run_episode
from xr0_sim.runtime.latency.models import Constant

STAND = np.array([0.0] * 6 + [1.0] + [0.0] * 7)


@pytest.fixture(scope="module", autouse=True)
def events():
    register_events("toy_outside")


@pytest.fixture
def env():
    made = FakeEnv(image_size=32)
    yield made
    made.close()


def played(env, seed=1, ticks=40, strategy=None, latency_s=0.08, **options):
    log, model = TickLog(), Reach(looks=True)
    executor = Executor(
        model,
        strategy or NaiveAsync(5),
        Constant(latency_s),
        control_hz=env.control_hz,
        standstill=env.standstill,
    )
    plant = EnvPlant(env)
    result = run_episode(plant, executor, [log], seed=seed, options=options, max_ticks=ticks)
    return result, log.table(), model


def condition(event="none", strategy=None, **kwargs):
    return make_condition(
        env="toy_outside",
        env_kwargs=task_spec("toy_outside").complete(kwargs),
        policy="toy_reach",
        weights=None,
        strategy=strategy or NaiveAsync(5),
        latency="80ms",
        delay_error=0,
        event=event,
        max_seconds=None,
    )


def test_an_episode_runs_and_repeats_bit_for_bit(env):
    result, table, model = played(env)
    again, second, _ = played(FakeEnv(image_size=32))
    assert (result.outcome, again.outcome) == ("success", "success")
    assert table.digest() == second.digest() != played(env, seed=2)[1].digest()
    assert table.meta["control_hz"] == 20 and table["time_ns"][1] == 50_000_000
    # 80 ms are two ticks of 50 ms.
    assert set(table["d_ceil"][table["started"] >= 0]) == {2}
    seen = model.seen[0]
    assert seen.instruction == "Touch the cube." and set(seen.images) == {"base", "left_wrist"}
    assert seen.images["base"].shape == (32, 32, 3)
    assert seen.robot.joint_pos.ravel()[7:].tolist() == [0.02, -0.02, 0, 0, 0]


def test_without_an_action_the_arm_stands_still_and_keeps_its_grip(env):
    _, table, _ = played(env, strategy=Sync(5), latency_s=0.2, ticks=20)
    held, action = table["hold"], table["action"]
    later = held & (np.arange(len(held)) > 4)
    assert later.sum() >= 4 and not action[held][:, :6].any()
    assert (action[:4, 6] == -1.0).all() and (action[later][:, 6] == 1.0).all()
    moved = np.abs(np.diff(table["tool_pos"][:, :3], axis=0)).max(axis=1)
    assert not moved[held[:-1]].any() and moved[~held[:-1]].all()


def test_an_event_has_a_twin_and_a_reaction():
    row = run_seed(EpisodeTask(condition("object_shift@0.5s"), 1))
    assert row["outcome"] == "success" and row["figures"]["event_fired"]
    (event,) = row["events"]
    assert event["tick"] == 10 and event["parameters"]["moved"] == "cube"
    # A capture after the event, plus two ticks of latency.
    assert row["figures"]["reaction_s"] == row["figures"]["reaction_bound_s"] > 0.1
    assert row["digest"] != row["twin_digest"]
    whole = run_seed(EpisodeTask(condition("object_shift@0.5s"), 1, branch=False))
    assert (whole["digest"], whole["twin_digest"]) == (row["digest"], row["twin_digest"])
    assert whole["figures"] == row["figures"]


def test_the_other_object_leaves_the_twin_alone():
    row = run_seed(EpisodeTask(condition("object_shift:object=ball@0.5s"), 1))
    assert row["digest"] != row["twin_digest"]  # the event stands in the log
    assert row["figures"]["reaction_s"] is None and row["figures"]["reaction_censored"]


def test_no_room_makes_the_episode_invalid():
    row = run_seed(EpisodeTask(condition("object_shift@0.5s", room=False), 1))
    assert not row["valid"] and "no room" in row["invalid_reason"]


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (DIES, "its process is gone, exit status 3: numpy is tired"),
        (RAISES, "FloatingPointError"),
        (NOT_FINITE, "finite numbers"),
        (HANGS, "no answer within 1 s"),
    ],
)
def test_a_lost_simulator_makes_the_episode_invalid_not_failed(seed, words):
    lost = condition("object_shift@0.4s", answer_s=1.0)
    row = run_seed(EpisodeTask(lost, seed))
    assert row["outcome"] == "invalid" and words in row["invalid_reason"]
    assert run_seed(EpisodeTask(condition(answer_s=1.0), 1))["outcome"] == "success"


def test_an_event_before_the_breakdown_is_invalid_too():
    # The twin dies in tick 6; the branch from tick 2 has lost its state with the process.
    row = run_seed(EpisodeTask(condition("object_shift@0.1s"), DIES))
    assert row["outcome"] == "invalid" and "the episode with it" in row["invalid_reason"]


def test_snapshots_are_exact_and_belong_to_their_episode(env):
    env.reset_scene(4, {"events": ["object_shift@0.3s"]})
    action = STAND.copy()
    action[:3] = 0.2, -0.3, -0.1
    for _ in range(3):
        env.advance(action)
    kept, pictures = env.snapshot(), env.camera_images()

    def go_on():
        return [(env.advance(action)[3]["events"], env.privileged(), env.robot_state())] * 3 + [
            env.camera_images()
        ]

    first = go_on()
    env.restore(kept)
    assert np.array_equal(env.camera_images()["base"], pictures["base"])
    assert repr(first) == repr(go_on())
    env.reset_scene(5)
    with pytest.raises(ConfigError, match="episode under way"):
        env.restore(kept)
    with pytest.raises(ConfigError, match="episode under way"):
        env.restore("nothing")


def test_camera_faults_are_those_of_every_task(env):
    freeze = FreezeCamera("base", 0.2, trigger=AtTick(2))
    late = DelayCamera("left_wrist", 0.5, 0.1, trigger=AtTick(2))
    action = STAND.copy()
    action[:3] = 0.31, 0.0, 0.0
    shown = {}
    for name, chosen in (("clean", []), ("faulty", [freeze, late])):
        env.reset_scene(1, {"events": chosen})
        shown[name] = [env.camera_images()]
        for _ in range(12):
            env.advance(action)
            shown[name].append(env.camera_images())
    base, clean = ([int(p["base"][0, 0, 0]) for p in shown[n]] for n in ("faulty", "clean"))
    # Frozen for 0.2 s, four ticks of 50 ms.
    assert base[2:6] == [clean[2]] * 4 and base[6:] == clean[6:] and clean[2] != clean[3]
    wrist, own = ([int(p["left_wrist"][0, 0, 0]) for p in shown[n]] for n in ("faulty", "clean"))
    assert wrist[3:12] == [own[2], *own[2:10]] and wrist[12:] == own[12:]


def test_a_knocked_camera_and_another_instruction(env):
    env.reset_scene(1, {"events": ["move_camera@0.1s", "change_instruction:text=Stop.@0.1s"]})
    before = env.camera_images()["base"]
    for _ in range(3):
        env.advance(STAND)
    assert not np.array_equal(env.camera_images()["base"], before)
    assert env.observe().instruction == "Stop."


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("move_light", "choose from .*object_shift"),
        ("stale_joints", "can happen in FakeEnv"),
        ("freeze_right_wrist", "with cameras base, left_wrist"),
        ("object_shift@phase:reach", "unknown phase 'reach'"),
        ("object_shift@3.1s", r"expected a trigger before the end of the episode, tick 60 \(3 s\)"),
    ],
)
def test_events_that_cannot_happen_are_refused_before_anything_runs(event, words):
    with pytest.raises(ConfigError, match=words):
        choose_events("toy_outside", event, 60)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda env: env.advance(np.ones(14)), "zeros for the second arm"),
        (lambda env: env.advance(np.ones(7)), r"expected finite \(14,\)"),
        (lambda env: env.film_image("right_wrist"), "unknown camera 'right_wrist'"),
        (lambda env: env.model, "played in another process"),
        (lambda env: env.shift_object("cup", np.zeros((1, 3))), "unknown object 'cup'"),
        (lambda env: env.reset_scene(1, {"evnts": []}), "unknown reset option"),
        (lambda env: env.redraw_instruction(None), "expected a text"),
    ],
)
def test_bad_input_is_one_line(env, call, words):
    env.reset_scene(1)
    with pytest.raises(ConfigError, match=words) as caught:
        call(env)
    assert "\n" not in str(caught.value)


def test_before_the_first_reset_nothing_is_known(env):
    for call in (env.robot_state, env.observe, env.snapshot, lambda: env.advance(STAND)):
        with pytest.raises(ConfigError, match="expected a reset first"):
            call()


def test_a_study_and_a_film(tmp_path):
    study = Study(
        "toy_outside",
        policy="toy_reach",
        latency="80ms",
        event="shove@0.5s",
        factors={"strategy": ["sync:execution_horizon=5", "naive_async:execution_horizon=5"]},
        seeds=2,
    )
    frame = study.run(tmp_path / "study").frame()
    assert len(frame) == 4 and set(frame["outcome"]) == {"success"}
    assert own_preset("toy_outside", "shove@0.5s") == "object_shift@0.5s"
    path = study.film({"strategy": "sync:execution_horizon=5"}, 1)
    assert path.stat().st_size > 1000


def test_the_command_line_says_where_libero_is_missing(monkeypatch, capfd):
    monkeypatch.delenv("XR0_SIM_LIBERO_PYTHON", raising=False)
    words = ["rollout", "--policy", "toy_reach", "--episodes", "1", "--no-video"]
    assert main([*words, "--env", "libero:suite=libero_goal,task=1"]) == 2
    told = capfd.readouterr().err.strip()
    assert "set XR0_SIM_LIBERO_PYTHON" in told and "\n" not in told
    assert main([*words, "--env", "libero:suite=libero_gaol"]) == 2
    assert "did you mean 'libero_goal'" in capfd.readouterr().err
    assert main([*words, "--env", "libero:task=10"]) == 2
    assert "expected 0 .. 9, got 10" in capfd.readouterr().err


def test_the_run_card_reads_back(tmp_path):
    from experiments.runner.stored_condition import stored_condition
    from xr0_sim.record.runcard import to_json

    chosen = condition("object_shift@0.5s")
    card = json.loads(json.dumps(to_json(chosen)))
    assert stored_condition(card, "card") == chosen
    assert chosen.max_ticks == 60 and chosen.control_hz == 20


@pytest.mark.parametrize("command", ["realtime", "watch"])
def test_commands_of_our_own_stage_refuse_it_in_one_line(command, capfd):
    assert main([command, "--env", "libero", "--policy", "toy_reach"]) == 2
    told = capfd.readouterr().err.strip()
    assert f"{command}: expected a task on our own stage" in told and "\n" not in told


def test_an_export_to_lerobot_is_refused(tmp_path, capfd):
    words = ["rollout", "--env", "toy_outside", "--policy", "toy_reach"]
    words += ["--strategy", "sync:execution_horizon=5", "--event", "shove@0.5s", "--episodes", "1"]
    assert main([*words, "--no-video", "--out", str(tmp_path / "run")]) == 0
    capfd.readouterr()
    assert main(["dataset", "export", str(tmp_path / "run")]) == 2
    assert "played in another process at 20 Hz" in capfd.readouterr().err
