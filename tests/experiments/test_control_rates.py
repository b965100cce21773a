"""Experts, episodes, twins and studies at other control rates than the usual one."""

from pathlib import Path

import numpy as np
import pytest

from envs.robot.actions import split_arms
from envs.tasks import make_env
from experiments.commands.collect import CollectConfig
from experiments.commands.collect import run as collect
from experiments.options.condition_options import ConditionOptions
from experiments.runner.episode_run import EpisodeSetup
from experiments.runner.film_options import film_options
from experiments.study import Study
from experiments.study.study_file import make_study, read_study_file
from policies.rl.staged_env import StagedBlocks
from policies.scripted.blocks.gripping import TRAVEL_SPEED
from policies.scripted.experts import make_expert
from policies.table import policy_spec
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError
from xr0_sim.record import TickLog

ROOT = Path(__file__).resolve().parents[2]
RATES = (10, 30, 50)


@pytest.mark.parametrize("hz", RATES)
def test_the_expert_sorts_two_bricks_no_faster_than_it_moves_at_30_hz(hz):
    env = make_env("block_dismantling", control_hz=hz, servo="ideal")
    expert = make_expert(env)
    env.reset_scene(35000)
    tools, over = [], False
    while not over and env.tick < 15 * hz:
        joints, _ = split_arms(env._command)
        tools.append(env.kinematics.forward(joints)[0])
        _, over, _, info = env.advance(expert.action(env.robot_state(), env.privileged()))
    assert over and info["success"] and env.tick / hz < 8.0
    speed = np.linalg.norm(np.diff(tools, axis=0), axis=2) * hz
    # The one step of the inverse kinematics in a tick leaves a few percent.
    assert 0.9 * TRAVEL_SPEED < np.quantile(speed, 0.99) and speed.max() < 1.1 * TRAVEL_SPEED


def logged(hz, event):
    chosen = ConditionOptions(
        env=f"block_dismantling:control_hz={hz}",
        policy="oracle",
        strategy="naive_async:execution_horizon=20",
        latency="100ms",
        event=event,
        max_seconds=0.9,
    )
    condition, log = chosen.condition(), TickLog()
    assert condition.control_hz == hz and condition.max_ticks == round(0.9 * hz)
    result = EpisodeSetup(condition).run(35001, [log])
    return result, log.table()


@pytest.mark.parametrize("hz", RATES)
def test_twins_are_equal_up_to_their_event_and_runs_repeat(hz):
    (result, run), (_, twin) = logged(hz, "shove@0.6s"), logged(hz, "none")
    assert run.meta["control_hz"] == hz and result.duration_s == pytest.approx(0.9)
    at = round(0.6 * hz)
    assert [(e.tick, e.time_ns) for e in result.events] == [(at, 600_000_000)]
    for name in ("action", "joint_pos"):
        assert np.array_equal(run[name][:at], twin[name][:at])
    # 100 ms are 1, 3 and 5 ticks.
    assert set(run["d_ceil"][run["started"] >= 0].tolist()) == {hz // 10}
    assert run.digest() == logged(hz, "shove@0.6s")[1].digest()


def test_the_rate_is_a_factor_of_a_study():
    study = Study(
        policy="oracle",
        latency="80ms",
        factors={"control_hz": [10, 50], "event": ["none", "shove"]},
        seeds=1,
    )
    rates = [study.resolved()[name].control_hz for name in study.conditions]
    assert rates == [10, 10, 50, 50] and all("control_hz=" in name for name in study.conditions)
    assert study.resolved()["control_hz=50, event=none"].env_kwargs["control_hz"] == 50
    nested = Study(policy="oracle", factors={"env.control_hz": [10]}, seeds=1)
    assert [c.control_hz for c in nested.resolved().values()] == [10]


def test_the_study_of_rates_has_every_rate_under_every_strategy():
    file = ROOT / "docs" / "examples" / "control_rate.toml"
    resolved = make_study(read_study_file(file)).resolved()
    assert len(resolved) == 3 * (1 + 2 * 3) * 2
    at_rest = [c for name, c in resolved.items() if "latency=0ms" in name]
    assert {c.strategy.label.split()[0] for c in at_rest} == {"sync"}
    assert all(c.max_ticks == 30 * c.control_hz for c in resolved.values())
    assert {c.control_hz for c in resolved.values()} == set(RATES)


def test_policies_with_rows_of_30_hz_refuse_other_rates(tmp_path):
    env = make_env("block_dismantling", control_hz=50)
    told = "expected an environment at 30 Hz, the rate of its rows, got one at 50 Hz"
    trained = ConditionOptions(policy="xr0", control_hz=50)
    with pytest.raises(ConfigError, match=f"policy xr0: {told}"):
        EpisodeSetup(trained.condition()).run(0)
    with pytest.raises(ConfigError, match=f"policy rl_separate: {told}"):
        policy_spec("rl_separate").load(None).bind(env)
    with pytest.raises(ConfigError, match=f"stages: {told}"):
        StagedBlocks(control_hz=50)
    with pytest.raises(ConfigError, match=f"collect: {told}"):
        collect(CollectConfig(control_hz=50, out=str(tmp_path / "store")))


@pytest.mark.parametrize(("hz", "every", "wrong"), [(10, 1, 15), (30, 2, 20), (50, 5, 15)])
def test_films_play_in_real_time_at_every_rate(hz, every, wrong):
    assert film_options(None, "scene", None, control_hz=hz).every == every
    assert film_options(hz, "scene", None, control_hz=hz).every == 1
    with pytest.raises(ConfigError, match=f"expected a divisor of {hz}, got {wrong}"):
        film_options(wrong, "scene", None, control_hz=hz)
    assert hz // every <= CONTROL_HZ // 2
