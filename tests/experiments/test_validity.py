"""Episodes that say nothing about the policy are counted, and are in no rate."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from experiments.cli import main
from experiments.report.columns import (
    condition_summary,
    invalid_line,
    summary_object,
    upright_table,
)
from experiments.report.paired import paired_to_first
from experiments.runner.checked_plant import CheckedPlant
from xr0_sim.errors import SimulationError
from xr0_sim.types import RobotState

SHORT = ["rollout", "--policy", "oracle", "--no-video", "--max-seconds", "0.5", "--episodes", "2"]


def row(seed, reason=None, **figures):
    return {
        "seed": seed,
        "outcome": "invalid" if reason else "success",
        "valid": reason is None,
        "invalid_reason": reason,
        "digest": "d",
        "twin_digest": "t",
        "figures": {"success": reason is None, "progress": 1.0, **figures},
    }


def test_invalid_rows_are_in_no_figure_and_counted_with_their_reasons():
    rows = [row(0), row(1), row(2, "simulation: diverged"), row(3, "event did not fire: shove")]
    found = summary_object(rows, 4)
    assert (found["n"], found["invalid"], found["events_not_fired"]) == (2, 2, 1)
    assert found["success"]["value"] == 1.0 and found["success"]["n"] == 2
    assert found["invalid_reasons"] == {"simulation: diverged": 1, "event did not fire: shove": 1}
    assert invalid_line(rows).startswith("2 of 4 invalid: simulation: diverged (1); event did")
    assert invalid_line(rows[:2]) == ""
    old = [{name: value for name, value in r.items() if "valid" not in name} for r in rows[:2]]
    assert condition_summary(old).n == 2
    pairs = paired_to_first({"a @ x": rows, "b @ x": [row(seed) for seed in range(4)]})
    assert pairs["b @ x"]["success"]["n"] == 2


def test_reactions_that_were_all_censored_keep_their_line():
    censored = {"event_fired": True, "reaction_s": None, "reaction_censored": True}
    censored["reaction_bound_s"] = 0.1
    rows = [row(seed, **censored) for seed in range(3)]
    summary = condition_summary(rows)
    assert summary.figures["reaction_s"].n == 0
    assert summary_object(rows, 3)["reaction_s"]["value"] is None
    table = upright_table(summary, "")
    cells = dict(zip(table.columns[0].cells, table.columns[2].cells, strict=True))
    assert "3 of 3 censored" in cells["reaction (s)"]


def run_short(capsys, *words):
    status = main([*SHORT, "--json", *map(str, words)])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def test_an_event_that_never_fires_is_said_in_row_table_and_json(capsys, tmp_path):
    found = run_short(capsys, "--event", "shove@phase:carry", "--out", tmp_path / "a")
    assert (found["n"], found["invalid"], found["events_not_fired"]) == (0, 2, 2)
    assert found["event_fired"]["value"] == 0.0 and "success" not in found
    rows = [json.loads(line) for line in (tmp_path / "a" / "episodes.jsonl").open()]
    assert [r["outcome"] for r in rows] == ["invalid", "invalid"]
    assert rows[0]["invalid_reason"] == "event did not fire: shove"
    assert main([*SHORT, "--event", "shove@phase:carry", "--out", str(tmp_path / "a")]) == 0
    assert "2 of 2 invalid: event did not fire: shove (2)" in capsys.readouterr().out


def test_a_simulation_that_breaks_is_an_invalid_row_and_the_run_goes_on(
    capsys, tmp_path, monkeypatch
):
    advance = BlockDismantlingEnv.advance

    def breaks(self, action):
        if self.tick == 5 and self.np_random_seed == 1:
            raise SimulationError("simulation: velocity is not a number")
        return advance(self, action)

    monkeypatch.setattr(BlockDismantlingEnv, "advance", breaks)
    found = run_short(capsys, "--event", "none", "--out", tmp_path / "a")
    assert (found["n"], found["invalid"]) == (1, 1)
    assert found["invalid_reasons"] == {"simulation: velocity is not a number": 1}


def test_a_physics_failure_is_invalid(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(BlockDismantlingEnv, "_simulate", lambda self, target: "diverged")
    found = run_short(capsys, "--event", "none", "--episodes", 1, "--out", tmp_path / "b")
    (reason,) = found["invalid_reasons"]
    assert found["invalid"] == 1 and "got diverged in tick 0" in reason


def test_measurements_that_are_no_numbers_never_reach_a_policy():
    robot = RobotState(*(np.zeros(2) for _ in range(6)))
    plant = SimpleNamespace(robot_state=lambda: robot)
    assert CheckedPlant(plant).robot_state() is robot
    robot.joint_vel[1] = np.nan
    with pytest.raises(SimulationError, match="joint_vel of the robot is not finite"):
        CheckedPlant(plant).robot_state()


def test_the_physics_engine_writes_no_file_where_the_caller_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = BlockDismantlingEnv(observation="state")
    env.reset_scene(0)
    env.data.qvel[:] = np.nan
    with pytest.raises(SimulationError, match="BADQVEL"):
        env.advance(env.robot_state().command)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["-x", "--x", "~", "a:b"])
def test_the_command_line_takes_every_name(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    found = run_short(capsys, "--event", "none", "--episodes", 1, "--out", name)
    assert found["out"] == name and [p.name for p in tmp_path.iterdir()] == [name]


def test_a_protective_stop_is_a_failure_with_its_reason(capsys, tmp_path, monkeypatch):
    advance = BlockDismantlingEnv.advance

    def crushes(self, action):
        if self.tick == 5 and self.np_random_seed == 1:
            self._stop.restore((0, 2, "left/left_finger was pressed on with 300 N"))
        return advance(self, action)

    monkeypatch.setattr(BlockDismantlingEnv, "advance", crushes)
    folder = tmp_path / "c"
    found = run_short(capsys, "--event", "none", "--out", folder)
    assert (found["n"], found["invalid"]) == (2, 0)
    rows = {r["seed"]: r for r in map(json.loads, (folder / "episodes.jsonl").open())}
    assert rows[1]["outcome"] == "failure" and rows[1]["valid"]
    assert rows[1]["protective_stop"].startswith("left/left_finger was pressed on")
    assert rows[1]["figures"]["protective_stop"] is True and rows[0]["protective_stop"] is None
    assert main([*SHORT, "--event", "none", "--out", str(folder)]) == 0
    assert "1 of 2 failed by a protective stop: seed 1: left" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["block_dismantling", "towel_folding"])
def test_a_shove_of_the_first_world_is_its_teleport_and_the_episode_valid(tmp_path, task):
    words = ["rollout", "--env", task, "--world", "0.1", "--policy", "oracle", "--episodes", "1"]
    words += ["--event", "shove@tick:3", "--max-seconds", "0.5", "--no-video"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    row = json.loads((tmp_path / "run" / "episodes.jsonl").read_text())
    assert row["valid"] and row["invalid_reason"] is None
    assert [event["kind"] for event in row["events"]] in (["shove"], ["towel_shove"])
