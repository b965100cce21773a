import json
import os
import signal
import subprocess
import sys
import time

import imageio_ffmpeg
import pytest

from experiments.cli import main
from experiments.runner import runner as campaign
from experiments.runner.run_folder import CARD, EPISODES
from xr0_sim.record import read_run_card, read_ticklog

SHORT = ["rollout", "--policy", "oracle", "--no-video", "--max-seconds", "1.5"]
FIGURES = (
    "success",
    "progress",
    "bricks_per_min",
    "age_mean_ticks",
    "hold_share",
    "seam_position_mean_rad",
    "tool_jerk_m_s3",
    "reaction_s",
)


def rollout(capsys, *words):
    status = main([*SHORT, "--json", *map(str, words)])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def test_the_summary_is_one_json_object_with_intervals(capsys, tmp_path):
    found = rollout(capsys, "--episodes", 2, "--out", tmp_path / "a")
    assert found["n"] == found["requested"] == 2 and found["complete"] is True
    for name in FIGURES:
        assert set(found[name]) == {"value", "low", "high", "n"}, name
    assert 0 <= found["success"]["low"] <= found["success"]["value"] <= found["success"]["high"]
    assert found["event_fired"]["value"] == 1.0 and found["reaction"]["n"] == 2
    assert found["reaction_s"]["value"] >= found["reaction_bound_s"]["value"] - 1e-9
    assert found == {**json.loads((tmp_path / "a" / "summary.json").read_text())}


def test_everything_is_written(capsys, tmp_path):
    found = rollout(capsys, "--episodes", 2, "--seed", 5, "--out", tmp_path / "a")
    card = read_run_card(tmp_path / "a" / CARD)
    assert card["status"] == "complete" and card["seeds"] == [5, 6]
    assert card["config"]["latency"]["latency_s"] == 0.08 and card["renderer"] == "none"
    assert card["versions"]["mujoco"] and card["commit"]
    rows = [json.loads(line) for line in (tmp_path / "a" / EPISODES).read_text().splitlines()]
    assert [row["seed"] for row in rows] == [5, 6]
    for row in rows:
        table = read_ticklog(tmp_path / "a" / "ticks" / f"seed{row['seed']}.parquet")
        twin = read_ticklog(tmp_path / "a" / "ticks" / f"seed{row['seed']}_twin.parquet")
        assert table.digest() == row["digest"] and twin.digest() == row["twin_digest"]
        assert row["events"][0]["kind"] == "shove" and "shove" in list(table["events"])
        assert card["digests"][f"seed{row['seed']}"] == row["digest"]
    assert found["out"] == str(tmp_path / "a")


def test_the_same_command_twice_gives_the_same_digest_whatever_the_workers(capsys, tmp_path):
    one = rollout(capsys, "--episodes", 2, "--out", tmp_path / "one")
    two = rollout(capsys, "--episodes", 2, "--out", tmp_path / "two")
    three = rollout(capsys, "--episodes", 2, "--out", tmp_path / "three", "--workers", 2)
    for other in (two, three):
        assert {**other, "out": ""} == {**one, "out": ""}
    other = rollout(capsys, "--episodes", 2, "--out", tmp_path / "four", "--latency", "0.2s")
    assert other["digest"] != one["digest"]


def test_a_folder_is_continued_and_never_mixed(capsys, tmp_path, monkeypatch):
    whole = rollout(capsys, "--episodes", 2, "--out", tmp_path / "whole")
    rollout(capsys, "--episodes", 1, "--out", tmp_path / "a")
    run_seeds = []
    original = campaign.run_seed
    monkeypatch.setattr(
        campaign, "run_seed", lambda task: (run_seeds.append(task.seed), original(task))[1]
    )
    continued = rollout(capsys, "--episodes", 2, "--out", tmp_path / "a")
    assert run_seeds == [1]
    assert {**continued, "out": ""} == {**whole, "out": ""}

    before = {p: p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    assert main([*SHORT, "--latency", "0.2s", "--out", str(tmp_path / "a")]) == 2
    err = capsys.readouterr().err
    assert "latency.latency_s = 0.08, now it is 0.2" in err and len(err.splitlines()) == 1
    assert main([*SHORT, "--strategy", "sync", "--out", str(tmp_path / "a")]) == 2
    assert 'strategy.type = "PrefixAsync"' in capsys.readouterr().err
    assert before == {p: p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}


def test_a_folder_of_something_else_is_left_alone(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*SHORT, "--out", str(tmp_path)]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_without_out_every_run_gets_a_folder_of_its_own(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = rollout(capsys, "--episodes", 1, "--event", "none")
    second = rollout(capsys, "--episodes", 1, "--event", "none")
    assert first["out"] != second["out"] and first["digest"] == second["digest"]
    assert first["out"].startswith("out/oracle_prefix_async_xr0_4090-")
    assert first["reaction"] is None and "reaction_s" not in first


def test_the_table_and_the_lines_of_progress(capsys, tmp_path):
    assert main([*SHORT, "--episodes", "2", "--out", str(tmp_path / "a")]) == 0
    out, err = capsys.readouterr()
    for label in ("success", "bricks/min", "action age (ticks)", "starvation", "reaction (s)"):
        assert label in out
    assert "digest" in out and "n = 2" in out
    assert sum(line.startswith("[") for line in err.splitlines()) == 2


def test_an_interrupt_keeps_what_is_finished(capsys, tmp_path, monkeypatch):
    original = campaign.run_seed

    def interrupted(task):
        if task.seed == 1:
            raise KeyboardInterrupt
        return original(task)

    monkeypatch.setattr(campaign, "run_seed", interrupted)
    status = main([*SHORT, "--episodes", "2", "--json", "--out", str(tmp_path / "a")])
    out, err = capsys.readouterr()
    assert status == 130 and "1 of 2 episodes kept" in err
    found = json.loads(out)
    assert found["n"] == 1 and found["complete"] is False
    assert read_run_card(tmp_path / "a" / CARD)["status"] == "interrupted"
    monkeypatch.undo()
    assert rollout(capsys, "--episodes", 2, "--out", tmp_path / "a")["n"] == 2
    assert read_run_card(tmp_path / "a" / CARD)["status"] == "complete"


@pytest.mark.parametrize(
    ("workers", "sent"), [(1, signal.SIGINT), (2, signal.SIGINT), (2, signal.SIGTERM)]
)
def test_a_real_interrupt(tmp_path, workers, sent):
    command = [sys.executable, "-m", "experiments.cli", *SHORT[:-1], "0.4", "--episodes", "500"]
    command += ["--out", str(tmp_path / "a"), "--workers", str(workers), "--event", "none"]
    # A shell that runs this in the background hands down an ignored SIGINT; SIGTERM ends it then.
    heard = signal.default_int_handler if sent == signal.SIGINT else signal.SIG_IGN
    previous = signal.signal(signal.SIGINT, heard)
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, previous)
    lines = tmp_path / "a" / EPISODES
    deadline = time.monotonic() + 90
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "episodes kept" in err and "Traceback" not in err
    card = read_run_card(tmp_path / "a" / CARD)
    rows = lines.read_text().splitlines()
    assert card["status"] == "interrupted" and len(card["digests"]) == len(rows) >= 2
    assert not list((tmp_path / "a").rglob(".*"))
    with pytest.raises(ProcessLookupError):  # no worker is left behind
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_videos_are_named_with_the_outcome(capsys, tmp_path):
    words = ["rollout", "--policy", "oracle", "--episodes", "1", "--max-seconds", "0.5"]
    status = main([*words, "--event", "shove@0.2s", "--video", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == 0
    (video,) = tmp_path.rglob("*.mp4")
    assert video.name == "block_dismantling_seed0_failure.mp4"
    assert str(video).startswith(found["out"])
    meta = next(imageio_ffmpeg.read_frames(str(video)))
    assert meta["fps"] == 15 and meta["size"] == (960, 540)
    assert read_run_card(tmp_path / found["out"] / CARD)["renderer"] not in ("", "none")
