"""Levels: options that commands share, each task with its own."""

import json
from dataclasses import fields

import pytest

from experiments.cli import main
from experiments.options.catalog import TASKS, make_env, own_preset, register_events
from experiments.options.task_options import LEVELS, LevelOptions
from experiments.runner.condition import choose_events, time_limit_ticks
from xr0_sim.errors import ConfigError


def test_every_task_has_a_level_and_every_option_a_task():
    assert set(LEVELS) == set(TASKS)
    taken = [name for kind in LEVELS.values() for name in kind.defaults]
    assert sorted(taken) == sorted(f.name for f in fields(LevelOptions))


@pytest.mark.parametrize("task", TASKS)
def test_defaults_make_an_environment(task):
    level = LevelOptions().level_of(task)
    make_env(task, **level).close()
    assert LEVELS[task].words(level) and time_limit_ticks(task, level, None) >= 1200


def test_options_are_filled_in_and_checked():
    assert LevelOptions(n_bricks=5).level_of("block_dismantling") == {
        "n_bricks": 5,
        "layout": "random",
    }
    assert LevelOptions(level="full").level_of("towel_folding") == {
        "level": "full",
        "grid": 13,
        "grasp": "friction",
        "continuous": False,
    }
    assert LevelOptions(continuous=True).level_of("towel_folding")["continuous"] is True
    for options, env, words in (
        (LevelOptions(grid=9), "block_dismantling", "it takes --n-bricks, --layout"),
        (LevelOptions(continuous=True), "block_dismantling", "--continuous: env"),
        (LevelOptions(n_bricks=3), "towel_folding", "--n-bricks: env 'towel_folding' has no such"),
        (LevelOptions(level="halve"), "towel_folding", "did you mean 'half'"),
        (LevelOptions(grid=10), "towel_folding", "expected one of"),
        (LevelOptions(n_bricks=99), "block_dismantling", "expected 1 .. 34, got 99"),
        (LevelOptions(), "towel_foldin", "did you mean 'towel_folding'"),
    ):
        with pytest.raises(ConfigError, match=words):
            options.level_of(env)


def test_a_common_preset_means_the_tasks_own():
    assert own_preset("towel_folding", "shove@tick:5") == "towel_shove@tick:5"
    assert own_preset("block_dismantling", "shove@tick:5") == "shove@tick:5"
    register_events("towel_folding")
    assert [e.kind for e in choose_events("towel_folding", "shove, gust")] == [
        "towel_shove",
        "gust",
    ]


def test_weights_of_another_task_are_not_taken_silently(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("assets.checkpoint_names", lambda: ["block_dismantling"])
    words = ["rollout", "--env", "towel_folding", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "named after env 'towel_folding'" in line and "--policy expert" in line
    assert not (tmp_path / "run").exists()


def test_a_head_that_has_not_been_trained_gets_the_names_of_those_that_have(capfd, tmp_path):
    words = ["rollout", "--env", "towel_folding", "--head", "prefix_recorded"]
    words += ["--out", str(tmp_path / "run")]
    assert main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "unknown head of towel_folding" in line and "sync" in line
    assert not (tmp_path / "run").exists()


def test_towel_folding_runs_through_the_same_commands(tmp_path, capfd):
    words = ["--env", "towel_folding", "--policy", "expert", "--episodes", "1", "--json"]
    words += ["--max-seconds", "3", "--event", "shove@tick:20", "--no-video"]
    assert main(["rollout", *words, "--out", str(tmp_path / "run")]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["config"]["level"] == {
        "level": "half",
        "grid": 13,
        "grasp": "friction",
        "continuous": False,
    }
    assert found["towels_per_min"]["n"] == 1 and "bricks_per_min" not in found
    row = json.loads((tmp_path / "run" / "episodes.jsonl").read_text())
    assert row["events"][0]["kind"] == "towel_shove"
