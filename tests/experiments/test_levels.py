"""Tasks on the command line: options that commands share, each task with its own."""

import json
from dataclasses import fields

import pytest

from envs.tasks import SHIPPED, make_env, own_preset, register_events, task_spec
from envs.world import DEFAULT_WORLD, STAGE_ARGUMENTS, WORLDS
from experiments.cli import main
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import choose_events, time_limit_ticks
from xr0_sim.errors import ConfigError

STAGE = {**STAGE_ARGUMENTS, "servo": WORLDS[DEFAULT_WORLD].servo}


def test_every_argument_of_a_shipped_task_is_an_option_and_the_other_way_round():
    taken = {name for task in SHIPPED for name in task_spec(task).env_kwargs}
    assert sorted(["env", *taken, *STAGE_ARGUMENTS]) == sorted(f.name for f in fields(TaskOptions))


@pytest.mark.parametrize("task", SHIPPED)
def test_defaults_make_an_environment(task):
    env_kwargs = TaskOptions(task).env_kwargs()
    make_env(task, **env_kwargs).close()
    assert task_spec(task).describe(env_kwargs) and time_limit_ticks(task, env_kwargs, None) >= 1200


def test_options_are_filled_in_and_checked():
    assert TaskOptions(n_bricks=5).env_kwargs() == {
        "n_bricks": 5,
        "layout": "random",
        "control_hz": 30,
        **STAGE,
    }
    assert TaskOptions("towel_folding", level="full").env_kwargs() == {
        "level": "full",
        "grid": 13,
        "grasp": "friction",
        "material": "",
        "continuous": False,
        "control_hz": 30,
        **STAGE,
    }
    assert TaskOptions("towel_folding", continuous=True).env_kwargs()["continuous"] is True
    for options, words in (
        (TaskOptions(grid=9), "it takes --n-bricks, --layout"),
        (TaskOptions(continuous=True), "--continuous: env"),
        (TaskOptions("towel_folding", n_bricks=3), "--n-bricks: env 'towel_folding' has no such"),
        (TaskOptions("towel_folding", level="halve"), "did you mean 'half'"),
        (TaskOptions("towel_folding", grid=10), "expected one of"),
        (TaskOptions(n_bricks=99), "expected 1 .. 34, got 99"),
        (TaskOptions("towel_foldin"), "did you mean 'towel_folding'"),
    ):
        with pytest.raises(ConfigError, match=words):
            options.env_kwargs()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("block_dismantling:n_bricks=5,layout=mixed", {"n_bricks": 5, "layout": "mixed"}),
        ("towel_folding:continuous=true,grid=9", {"continuous": True, "grid": 9}),
    ],
)
def test_arguments_may_stand_behind_the_name(text, expected):
    options = TaskOptions(text)
    assert options.task == text.partition(":")[0]
    assert expected.items() <= options.env_kwargs().items()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TaskOptions("block_dismantling:n_brick=5"), "did you mean 'n_bricks'"),
        (TaskOptions("block_dismantling:n_bricks=five"), "a whole number, got 'five'"),
        (TaskOptions("block_dismantling:n_bricks=99"), "expected 1 .. 34, got 99"),
        (TaskOptions("block_dismantling:n_bricks"), "field=value"),
        (TaskOptions("block_dismantling:n_bricks=3", n_bricks=4), "keep one"),
    ],
)
def test_arguments_behind_the_name_are_checked(options, words):
    with pytest.raises(ConfigError, match=words):
        options.env_kwargs()


def test_a_common_preset_means_the_tasks_own():
    assert own_preset("towel_folding", "shove@tick:5") == "towel_shove@tick:5"
    assert own_preset("block_dismantling", "shove@tick:5") == "shove@tick:5"
    register_events("towel_folding")
    assert [e.kind for e in choose_events("towel_folding", "shove, gust")] == [
        "towel_shove",
        "gust",
    ]


def test_weights_of_another_task_are_not_taken_silently(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("policies.xr0.checkpoints.checkpoint_names", lambda: ["block_dismantling"])
    words = ["rollout", "--env", "towel_folding", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "trained for env 'towel_folding'" in line and "--policy oracle" in line
    assert not (tmp_path / "run").exists()


def test_a_head_that_has_not_been_trained_gets_the_names_of_those_that_have(capfd, tmp_path):
    words = ["rollout", "--env", "towel_folding", "--head", "prefix_recorded"]
    words += ["--out", str(tmp_path / "run")]
    assert main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "unknown head of towel_folding" in line and "sync" in line
    assert not (tmp_path / "run").exists()


def test_towel_folding_runs_through_the_same_commands(tmp_path, capfd):
    words = ["--env", "towel_folding", "--policy", "oracle", "--episodes", "1", "--json"]
    words += ["--max-seconds", "1", "--event", "shove@tick:10", "--no-video"]
    assert main(["rollout", *words, "--out", str(tmp_path / "run")]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["config"]["env_kwargs"] == {
        "level": "half",
        "grid": 13,
        "grasp": "friction",
        "material": "",
        "continuous": False,
        "control_hz": 30,
        **STAGE,
    }
    assert found["towels_per_min"]["n"] == 1 and "bricks_per_min" not in found
    row = json.loads((tmp_path / "run" / "episodes.jsonl").read_text())
    assert row["events"][0]["kind"] == "towel_shove"
