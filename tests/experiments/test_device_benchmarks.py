"""Benches of a device, of start-up and of a study's cost, on the processor with small models."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from experiments.benchmarks import card, cost, device_policy, start
from experiments.benchmarks.card import BenchCardConfig, Check, checks, outcome
from experiments.benchmarks.cost import Amounts, Constants, episode_s, pair_s, wall_s
from experiments.cli import main
from xr0_sim.errors import Xr0SimError
from xr0_sim.model.checkpoints.released import meta_model
from xr0_sim.model.spec.presets import preset_config

WAYS = ["training forward", "prepared expert", "graphs", "graphs, one"]


def test_the_table_of_a_device_has_every_way_and_equal_chunks(capsys):
    words = ["--preset", "nano", "--device", "cpu", "--batches", "1,2", "--repeats", "2"]
    assert main(["bench", "policy", *words, "--no-compile", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = found["one inference"]
    assert {row["batch"] for row in rows} == {1, 2}
    assert set(WAYS) < {row["way"] for row in rows}
    assert all(row["deviation"] < 1e-4 and row["chunk ms"] > 0 for row in rows)
    assert len(found["bounds"]) == 2 and found["bounds"][0]["chunk ms"] > 0
    assert found["chunk_ms"]["target"] is None and found["speed"]["value"] > 0


def test_compiled_ways_are_in_the_table():
    model = device_policy.random_model("nano", torch.device("cpu"), 0)
    inputs = device_policy.random_inputs(model, 1, 0)
    request = device_policy.random_request(model, 1, 0)
    names = [way.name for way in device_policy.ways_of(model, inputs, request, compiled=True)]
    assert [name for name in names if "compiled" in name] == [
        "compiled step",
        *("graphs, compiled step", "graphs, compiled step, one"),
        *("graphs, compiled", "graphs, compiled, one"),
        *("graphs, compiled, fused attention", "graphs, compiled, fused attention, one"),
    ]


def test_prompts_of_the_published_size_have_the_published_length():
    model = meta_model(preset_config("xr0"))
    inputs = device_policy.random_inputs(model, 2, 0)
    assert inputs.input_ids.shape == (2, 304)
    assert len(inputs.pictures[0].index) == 2 * 3 * 81
    flat = inputs.input_ids.flatten()
    assert (flat[inputs.pictures[0].index] == model.config.vlm_config.image_token_id).all()


def test_goals_count_for_the_published_size_alone():
    rows = [
        {"batch": 1, "way": "training forward", "chunk ms": 200.0, "n": 3},
        {"batch": 1, "way": "graphs, one", "chunk ms": 14.0, "expert ms": "–", "peak GiB": 10.0},
        {"batch": 1, "way": "graphs", "chunk ms": 16.0, "expert ms": 5.5, "peak GiB": 10.0},
        {"batch": 16, "way": "graphs, one", "chunk ms": 130.0},
    ]
    found = {m.name: m for m in device_policy.goals(rows, goal=True)}
    assert found["chunk_ms"].met and not found["expert_ms"].met and not found["batch16_ms"].met
    assert found["peak_GiB"].met and found["speed"].value == pytest.approx(200 / 14)
    assert {m.target for m in device_policy.goals(rows, goal=False)} == {None}


def test_the_script_of_a_card_runs_every_check_in_its_time(monkeypatch, capsys):
    config = BenchCardConfig(device="cpu", preset="nano", batches="1", no_compile=True)
    named = {check.name: check.words for check in checks(config, "cpu", "folder")}
    assert set(named) == {"inference", "episode"} and "--no-compile" in named["inference"]
    assert {check.name for check in checks(config, "cuda:0", "folder")} == {*named, "tests"}
    assert sum(check.share for check in checks(config, "cuda:0", "folder")) <= 1.1
    fake = [
        Check("good", ("-c", "print('{\"a\": 1}')"), 0.5),
        Check("bad", ("-c", "raise SystemExit(3)"), 0.5),
        Check("slow", ("-c", "import time; time.sleep(60)"), 0.02),
    ]
    monkeypatch.setattr(card, "checks", lambda *_: fake)
    assert main(["bench", "card", "--device", "cpu", "--budget-s", "60"]) == 1
    found = json.loads(capsys.readouterr().out)["checks"]
    assert found["good"]["said"] == {"a": 1} and found["good"]["status"] == "passed"
    assert found["bad"]["status"] == "failed with status 3"
    assert found["slow"]["status"] == "ended after 1 s"
    assert outcome(("-c", ""), 0.0) == {"status": "not run, no time left"}


def test_start_up_is_told_in_ratios_of_one_run(monkeypatch, capsys):
    spent = {"bare import": 0.2, "import torch": 1.0, "expert": 0.6, "xr0": 2.0}
    spent["worker of xr0"] = 1.5
    monkeypatch.setattr(start, "time_command", lambda words, home: np.array([spent[words[0]], 9.0]))
    monkeypatch.setattr(start, "_ways", lambda *_: {name: ((name,), "") for name in spent})
    assert main(["bench", "start", "--repeats", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["xr0_over_bare_import"]["value"] == pytest.approx(10.0)
    assert found["xr0_over_bare_import"]["met"] and found["xr0_over_bare_import"]["n"] == 3
    assert found["xr0_over_expert"]["low"] == pytest.approx(2.0 / 0.6)
    assert main(["bench", "start", "--against", "/nowhere"]) == 2
    assert "the folder of a checkout" in capsys.readouterr().err


def test_a_command_that_fails_is_told_by_its_last_words(tmp_path):
    with pytest.raises(Xr0SimError, match="no such thing"):
        start.time_command(("-c", "raise SystemExit('no such thing')"), tmp_path)
    cpu, wall = start.time_command(("-c", "sum(range(10**6))"), tmp_path)
    assert 0.0 < cpu and 0.0 < wall
    other = tmp_path / "experiments"
    other.mkdir()
    (other / "__init__.py").write_text("raise SystemExit('the other checkout')")
    with pytest.raises(Xr0SimError, match="the other checkout"):
        start.time_command(("-m", "experiments.cli"), tmp_path)


def test_the_cost_of_a_study_adds_up():
    machine = Constants(start_s=5.0, episode_s=1.0, tick_s=0.01, pictures_s=0.1, inference_s=0.2)
    amounts = Amounts(ticks=100, captures=10, inferences=5)
    assert episode_s(machine, amounts) == pytest.approx(1.0 + 1.0 + 1.0 + 1.0)
    assert pair_s(machine, amounts, 0.0) == pytest.approx(2 * 4.0)
    assert pair_s(machine, amounts, 0.5) == pytest.approx(4.0 + 1.0 + 1.5)
    assert wall_s(machine, 100.0, 10) == pytest.approx(15.0)
    plan = cost.plan(machine, [amounts], cost.BenchCostConfig(card_chunk_ms=14.5, event_at=0.5))
    cpu = {row["machine"]: row["CPU h"] for row in plan}
    assert cpu["2 cores"] == pytest.approx(14 * 6 * 2048 * 6.5 / 3600)
    assert cpu["16 cores and a card"] == pytest.approx(14 * 6 * 2048 * 5.0 / 3600)
    chunks = 14 * 6 * 2048 * 1.5 * 5
    assert plan[-2]["card h"] == pytest.approx(14.5e-3 * chunks / 3600)
    assert plan[-1]["card h"] == pytest.approx(plan[-2]["card h"] / 10)
