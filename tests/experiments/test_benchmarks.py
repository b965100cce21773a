import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from envs.tasks import make_env
from experiments.benchmarks.clutch import open_clutch
from experiments.benchmarks.policy_report import Deviation, headline
from experiments.benchmarks.report import Measure
from experiments.benchmarks.step_replay import record_expert, time_physics, time_step
from experiments.benchmarks.tool_paths import PATHS, TABLE_PATHS, Circle, Line
from experiments.benchmarks.tracking import track
from experiments.cli import main
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.model.compute.precision import REDUCED, cpu_features
from xr0_sim.registry import strategies

ROOT = Path(__file__).resolve().parents[2]


def bench(capsys, *words):
    assert main(["bench", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_env_prints_ratios_and_a_profile(capsys):
    found = bench(capsys, "env", "--ticks", "25", "--repeats", "2")
    assert found["step_ratio"]["value"] > 1.0 and found["step_ratio"]["target"] == 1.15
    assert found["step_ratio"]["met"] == (found["step_ratio"]["value"] <= 1.15)
    assert found["image_real_time_factor"]["value"] > 0
    rows = found["where env.step spends its time"]
    assert rows[0]["part"] == "mj_step" and rows[0]["share of mj_step"] == pytest.approx(1.0)
    assert found["versions"]["mujoco"] and found["commit"]


def test_pictures_of_what_is_seen_are_equal_and_cheaper(capsys):
    words = ("--ticks", "11", "--episodes", "1", "--repeats", "3", "--image-size", "64")
    found = bench(capsys, "pictures", *words)
    assert found["unequal"]["value"] == 0 and found["unequal"]["n"] == 2 * 3
    assert found["speed_up"]["low"] <= found["speed_up"]["value"] <= found["speed_up"]["high"]
    assert found["speed_up"]["value"] > 1.0 and found["speed_up"]["n"] == 2


def test_executor_is_measured_for_every_strategy_of_the_registry():
    # In a process of its own: what other tests have loaded must not be needed.
    words = ["bench", "executor", "--ticks", "60", "--repeats", "1", "--image-size", "16", "--json"]
    run = [sys.executable, "-m", "experiments.cli", *words]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True)
    found = json.loads(done.stdout)
    for name in strategies.names():
        assert found[f"{name}_us"]["value"] > 0 and found[f"{name}_us"]["target"] == 100.0
        assert found[f"{name}_growth"]["value"] > 0
    assert found["events_growth_us"]["value"] >= 0


def test_a_correction_is_timed_against_its_network(capsys):
    found = bench(capsys, "correction", "--ticks", "4", "--repeats", "1")
    assert found["slow_ms"]["n"] == 4 and found["slow_ms"]["target"] == 2.0
    assert found["slow_ms"]["low"] <= found["median_ms"]["value"] <= found["slow_ms"]["high"]
    assert found["ratio"]["value"] > 1.0
    for words, expected in (
        (("--checkpoint", "towel_folding", "--env", "towel_folding"), "expected a correction head"),
        (("--repeats", "0"), "--repeats >= 1"),
    ):
        assert main(["bench", "correction", *words]) == 2
        assert expected in capsys.readouterr().err


def test_tracking_covers_both_arms():
    tracked = track(TABLE_PATHS[0], 0.5)
    assert tracked.error.shape[1:] == (2, 3)
    assert 0.4 < tracked.speed.max() <= 0.5 + 1e-6
    assert tracked.reach < 1e-3
    left, right = tracked.size_mm.T
    assert left == pytest.approx(right, abs=0.2)


def test_clutches_open_near_their_limit_when_pulled():
    opening = open_clutch((2, 2), "pull")
    assert abs(opening.error_percent) <= 15.0
    assert open_clutch((1, 1), "pull").limit < opening.limit


@pytest.mark.parametrize("path", [*PATHS, *TABLE_PATHS], ids=lambda path: path.name)
def test_paths_keep_their_speed_and_return(path: Line | Circle):
    points = path.points(0.4)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) * CONTROL_HZ
    assert 0.36 < speed.max() <= 0.4 + 1e-9
    assert points[0] == pytest.approx(points[-1], abs=1e-9)


def test_a_measure_knows_whether_it_is_met():
    assert Measure("a", "a", 1.0, target=1.0).met is True
    assert Measure("a", "a", 1.0, target=2.0, sense="at least").met is False
    assert Measure("a", "a", 1.0).met is None


def test_the_recorded_expert_works_and_every_replay_is_exact():
    env = make_env("block_dismantling")
    ticks = record_expert(env, 0, 45)
    assert env.phase != "approach"
    assert ticks[0].ctrl.shape == (env.substeps, env.model.nu)
    # Both raise if the end of the tick differs from the recording.
    assert all(time_step(env, tick) > 0 and time_physics(env, tick) > 0 for tick in ticks)


def test_policy_takes_turns_with_a_naive_forward_that_says_the_same(capsys):
    words = ["--preset", "nano", "--batches", "1,2", "--repeats", "2", "--no-compile"]
    found = bench(capsys, "policy", *words)
    assert found["deviation"]["value"] < 1e-5 and found["deviation"]["met"] is True
    assert found["denoise_speedup"]["value"] > 0 and found["chunk_speedup"]["n"] == 2
    assert found["denoise_speedup"]["target"] is None  # held for the tiny preset alone
    rows = found["one inference"]
    reduced = [name for name in REDUCED if cpu_features().offers(name)]
    for key in ("reduced_speedup", "reduced_deviation_rms", "reduced_deviation_max"):
        assert (key in found) == bool(reduced)
    if reduced:
        assert found["reduced_speedup"]["value"] > 0
        assert 0 < found["reduced_deviation_rms"]["value"] < found["reduced_deviation_max"]["value"]
        assert found["reduced_deviation_max"]["value"] < 0.05
    ways = ["naive", "plain", "eager", *reduced, "lower bound"]
    assert [(row["batch"], row["way"]) for row in rows] == [(b, w) for b in (1, 2) for w in ways]
    assert all(row["denoise ms"] > 0 and row["VLM ms"] > 0 for row in rows)


def test_policy_targets_belong_to_a_size():
    times = {
        name: np.full((3, 2), cost)
        for name, cost in {"naive": 8.0, "eager": 5.0, "compiled": 4.0, "int8": 2.0}.items()
    }
    deviations = {name: Deviation(0.02, 0.01) for name in times}
    deviations["eager"] = deviations["compiled"] = Deviation(1e-6, 1e-7)
    targets = {
        preset: {m.name: m.target for m in headline(times, np.full(2, 3.2), deviations, preset)}
        for preset in ("nano", "tiny", "small")
    }
    held = {"denoise_speedup": 2.0, "chunk_speedup": 2.0, "deviation": 1e-5}
    assert {k: v for k, v in targets["tiny"].items() if v is not None} == held
    held = {"deviation": 1e-5, "denoise_over_bound": 1.35}
    held |= {"reduced_speedup": 3.5, "reduced_chunk_speedup": 2.5}
    assert {k: v for k, v in targets["small"].items() if v is not None} == held
    assert [v for v in targets["nano"].values() if v is not None] == [1e-5]
    found = {m.name: m for m in headline(times, np.full(2, 3.2), deviations, "small")}
    assert found["denoise_speedup"].value == 2.0 and found["reduced_speedup"].value == 4.0
    assert found["denoise_over_bound"].value == 1.25 and found["deviation"].value == 1e-6
    assert found["reduced_deviation_max"].value == 0.02
    assert all(m.met is not False for m in found.values())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--preset", "tinny"], "did you mean 'tiny'"),
        (["--batches", "1,x"], "--batches: expected numbers like 1,4,16"),
        (["--repeats", "1"], "--repeats, --threads: expected at least 2 and 1"),
    ],
)
def test_policy_refuses_what_it_cannot_time(words, expected, capsys):
    assert main(["bench", "policy", *words]) == 2
    assert expected in capsys.readouterr().err
