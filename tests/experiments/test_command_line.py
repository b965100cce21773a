import json
import re
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module

import pytest

from envs.tasks import task_spec
from experiments.cli import COMMANDS, main, overview
from experiments.commands.rollout import RolloutConfig
from experiments.options.arguments import parse_config
from xr0_sim.errors import ConfigError
from xr0_sim.runtime import Sync

HEAVY = ("mujoco", "torch", "transformers", "matplotlib", "scipy", "gymnasium", "pandas", "PIL")


def python(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_is_light_and_quick():
    out = python(
        "import sys, time; start = time.process_time()\n"
        "from experiments.cli import main\n"
        "status = main(['--help'])\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "print(status, heavy, time.process_time() - start)"
    )
    *text, last = out.splitlines()
    assert last.startswith("0 []")
    assert float(last.split()[-1]) < 1.0
    assert all(any(name in line for line in text) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_resolves_and_imports_nothing_heavy(name):
    command = COMMANDS[name]
    out = python(
        "import sys, importlib\n"
        f"module = importlib.import_module({command.module!r})\n"
        f"config = module.{command.config}\n"
        "from experiments.options.arguments import parse_config\n"
        "assert callable(module.run)\n"
        "try:\n    parse_config(config, ['--help'], 'x')\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules and name != 'gymnasium'])"
    )
    assert out.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_configs_are_frozen_documented_and_have_defaults(name):
    config = getattr(import_module(COMMANDS[name].module), COMMANDS[name].config)
    assert is_dataclass(config) and config.__dataclass_params__.frozen
    assert config() == parse_config(config, [], "x")
    documented = "".join(cls.__doc__ for cls in config.__mro__ if is_dataclass(cls))
    for field in fields(config):
        assert re.search(rf"^        {field.name}: \S", documented, re.M), field.name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rolout"], "did you mean 'rollout'"),
        (["bench", "envi"], "did you mean 'env'"),
        (["rollout", "--polcy", "expert"], "did you mean '--policy'"),
        (
            ["rollout", "--estimator", "oracle:error_ticks=1", "--delay-error", "2"],
            "says it already",
        ),
        (["rollout", "--estimator", "last", "--delay-error", "2"], "unknown field"),
        (["rollout", "--policy", "oracl"], "did you mean 'oracle'"),
        (["rollout", "--policy", "oracle", "--strategy", "snyc"], "did you mean 'sync'"),
        (["rollout", "--policy", "xr0", "--head", "prefix_lamda"], "did you mean 'prefix_lambda'"),
        (["rollout", "--policy", "oracle", "--head", "sync"], "has no weights"),
        (["rollout", "--policy", "oracle", "--temperature", "0.5"], "has no weights"),
        (["rollout", "--policy", "xr0", "--temperature", "2"], "--temperature: expected 0 .. 1"),
        (["rollout", "--policy", "oracle", "--precision", "int8"], "has no weights"),
        (["rollout", "--policy", "xr0", "--precision", "int9"], "did you mean 'int8'"),
        (["compare", "--policy", "xr0", "--precision", "int9"], "did you mean 'int8'"),
        (["rollout", "--policy", "oracle", "--device", "cpu"], "has no weights"),
        (["rollout", "--policy", "xr0", "--device", "gpu"], "expected cpu, cuda, cuda:N or auto"),
        (["rollout", "--policy", "oracle", "--vlm-weights", "int8"], "has no weights"),
        (["rollout", "--policy", "xr0", "--vlm-weights", "int5"], "did you mean 'int8'"),
        (["train", "--device", "cuda:99"], "graphics cards that torch"),
        (["train", "--proposals", "-1"], "--proposals: expected 0"),
        (["rollout", "--policy", "oracle", "--event", "shov"], "did you mean 'shove'"),
        (["rollout", "--policy", "oracle", "--event", "shove@x"], "trigger: expected"),
        (["rollout", "--policy", "oracle", "--latency", "xr0_409"], "did you mean 'xr0_4090'"),
        (["rollout", "--policy", "oracle", "--alignment", "redme"], "did you mean 'readme'"),
        (["rollout", "--policy", "oracle", "--strategy", "sync", "--prefix-steps", "3"], "prefix"),
        (["rollout", "--policy", "oracle", "--layout", "layerd"], "did you mean 'layered'"),
        (["rollout", "--policy", "oracle", "--n-bricks", "99"], "expected 1 .. 34"),
        (["rollout", "--policy", "oracle", "--episodes", "0"], "--episodes: expected 1"),
        (["rollout", "--policy", "oracle", "--seed", "-1"], "expected an integer >= 0"),
        (["rollout", "--policy", "oracle", "--workers", "0"], "--workers: expected"),
        (["rollout", "--policy", "oracle", "--max-seconds", "0"], "--max-seconds: expected"),
        (["rollout", "--policy", "oracle", "--video-fps", "7"], "divisor of 30"),
        (["rollout", "--env", "towel"], "unknown env"),
        (["rollout", "--episodes", "abc"], "--episodes: expected a whole number, got 'abc'"),
        (["rollout", "--max-seconds", "soon"], "--max-seconds: expected a number, got 'soon'"),
        (["rollout", "--episodes"], "--episodes"),
        (["rollout", "stray"], "stray"),
        (["rollout", "--checkpoint", "nowhere"], "checkpoint"),
        (["rollout", "--vlm-weights", "int9"], "did you mean 'int8'"),
        (["rollout", "--policy", "oracle", "--compile"], "--compile: policy 'oracle' has no"),
        (["rollout", "--policy", "oracle", "--head", "sync"], "--head: policy 'oracle' has no"),
        (["compare", "--policy", "oracle", "--positions", "syn"], "did you mean 'sync'"),
        (["oracle-grid", "--delays", "99"], "--delays: expected"),
        (["bench", "tracking", "--speed", "9"], "--speed: expected"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("xr0-sim: ") and expected in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["rollout", "--policy", "oracle", "--no-video"], ["compare"], ["collect"]]
)
def test_a_file_in_the_place_of_the_output_folder_gets_one_line(words, capsys, tmp_path):
    place = tmp_path / "taken"
    place.write_text("mine")
    assert main([*words, "--episodes", "1", "--out", str(place)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("xr0-sim: ") and str(place) in line and "Not a directory" in line
    assert place.read_text() == "mine"


def test_underscores_are_as_good_as_dashes():
    @dataclass(frozen=True)
    class Config:
        """Options.

        Attributes:
            n_bricks: How many.
        """

        n_bricks: int = 2

    assert parse_config(Config, ["--n_bricks", "3"], "x") == Config(3)
    assert parse_config(Config, ["--n-bricks=4"], "x") == Config(4)
    with pytest.raises(ConfigError, match="--n-bricks: expected a whole number, got 'many'"):
        parse_config(Config, ["--n-bricks=many"], "x")


def test_group_help_and_version(capsys):
    assert main(["bench"]) == 0
    out = capsys.readouterr().out
    assert "bench env" in out and "rollout " not in out.split("commands:")[1].split("First")[0]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("xr0-sim ")
    assert "doctor" in overview()


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m experiments.cli bench clutch --json | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "{" and "Traceback" not in done.stderr


def test_json_goes_to_standard_output_alone(capsys):
    assert main(["bench", "clutch", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["clutch_error_percent"]["n"] > 0 and err == ""


def test_trained_policies_execute_as_many_rows_as_suit_their_weights():
    assert task_spec("block_dismantling").execution_horizon == 20
    assert task_spec("towel_folding").execution_horizon == 8
    for env, world, suited in (
        ("block_dismantling", "0.1", 20),
        ("block_dismantling", "0.2", 8),
        ("towel_folding", "0.2", 8),
    ):
        for words, executed in ({}, suited), ({"execution_horizon": 7}, 7):
            config = RolloutConfig(env=env, world=world, policy="xr0", strategy="sync", **words)
            condition = config.condition()
            assert condition.strategy.execution_horizon == executed
    assert RolloutConfig(policy="oracle", strategy="sync").condition().strategy == Sync()
