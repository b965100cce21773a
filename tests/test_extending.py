"""The files of ``docs/examples`` run as the pages print them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def run(folder, *words):
    """The command line in a folder of its own, outside the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "experiments.cli", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_page_shows_the_complete_file(file):
    pages = [page.read_text() for page in (ROOT / "docs").glob("*.md")]
    assert any(file.read_text() in page for page in pages)


def test_own_strategy_latency_event_trigger_model_and_servo_over_two_workers(tmp_path):
    plugin = tmp_path / "my_plugs.py"
    plugin.write_text((ROOT / "docs" / "examples" / "my_plugs.py").read_text())
    words = ["compare", "--plugin", "my_plugs.py", "--policy", "wave:amplitude_rad=0.03"]
    words += ["--positions", "eager:every=3", "--latency", "two_speeds:slow_s=0.15"]
    words += ["--event", "nudge:distance_m=0.01@joint_moves:limit_rad_s=0.02", "--json"]
    words += ["--servo", "worn:friction_factor=2"]
    words += ["--episodes", "2", "--max-seconds", "1", "--env", "block_dismantling:n_bricks=2"]
    found = {}
    for workers in ("1", "2"):
        done = run(tmp_path, *words, "--workers", workers, "--out", workers)
        assert done.returncode == 0, done.stderr
        found[workers] = json.loads(done.stdout)["digest"]
    assert found["1"] == found["2"]
    rows = [json.loads(line) for path in tmp_path.rglob("rows.jsonl") for line in open(path)]
    assert len(rows) == 4
    for row in rows:
        assert row["events"][0]["kind"] == "nudge"
        assert row["events"][0]["parameters"]["trigger"]["kind"] == "joint_moves"
        assert row["figures"]["model_calls"] > 8
    card = next(tmp_path.rglob("study.json")).read_text()
    assert "xr0_sim_plugin_my_plugs" in card
    assert "worn:friction_factor=2" in card


def test_an_own_task(tmp_path):
    done = run(
        tmp_path,
        *["rollout", "--plugin", str(ROOT / "docs/examples/my_task.py")],
        *["--env", "three_bricks:n_objects=4", "--policy", "oracle", "--event", "none"],
        *["--episodes", "1", "--max-seconds", "0.5", "--no-video", "--json", "--out", "run"],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["config"]["env_kwargs"]["n_objects"] == 4


GYM = """
import gymnasium
env = gymnasium.make("my_task:own/ThreeBricks-v0", n_objects=4, observation="state")
env.reset(seed=3)
print(type(env.unwrapped).__name__, env.spec.kwargs["n_objects"], env.spec.max_episode_steps)
import envs, pytest
from dataclasses import replace
from xr0_sim.errors import ConfigError
from xr0_sim.registry import tasks
assert envs.register_gym_id("three_bricks") == "own/ThreeBricks-v0"
cases = (
    ("none", "", "expected a gym_id in"),
    ("taken", "own/ThreeBricks-v0", "of its own"),
    ("malformed", "three bricks!", "such as 'own/MyTask-v0', got 'three bricks!'"),
)
for name, gym_id, word in cases:
    tasks.add(name, replace(tasks["three_bricks"], gym_id=gym_id), "own")
    with pytest.raises(ConfigError, match=word):
        envs.register_gym_id(name)
"""


def test_an_own_task_is_a_gymnasium_environment(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", GYM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'docs/examples'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ThreeBricks", "4", "900"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plugin", "nowhere.py"], "expected a file or an importable module, found neither"),
        (
            ["--plugin", "broken.py"],
            "can be imported, got ZeroDivisionError",
        ),
        (["--plugin"], "--plugin: expected a file or a module"),
        (["--plugin", "json:nothing"], "expected json to have a function 'nothing'"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_one_line(tmp_path, words, message):
    (tmp_path / "broken.py").write_text("1 / 0")
    done = run(tmp_path, "list", *words)
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_strategy_that_needs_more_than_the_model_can_is_one_line(tmp_path):
    (tmp_path / "needy.py").write_text(
        "from dataclasses import dataclass\n"
        "from xr0_sim import registry\n"
        "from xr0_sim.runtime.strategies.base import Strategy\n"
        "@registry.strategies.register('needy')\n"
        "@dataclass(frozen=True)\n"
        "class Needy(Strategy):\n"
        "    needs = frozenset({'samples', 'guide'})\n"
        "    def due(self, situation):\n"
        "        return True\n"
    )
    words = ["rollout", "--plugin", "needy.py", "--strategy", "needy", "--policy", "oracle"]
    done = run(tmp_path, *words, "--episodes", "1", "--no-video", "--event", "none")
    assert done.returncode == 2
    assert "expected a chunk model that can do guide" in done.stderr.splitlines()[-1]


def test_ppo_of_stable_baselines3_trains_on_a_stage(tmp_path):
    import runpy

    example = runpy.run_path(str(ROOT / "docs" / "examples" / "train_with_sb3.py"))
    mean, spread = example["main"](64, tmp_path, rollout=32)
    # Thirty decisions at -0.05 each, and at the most the whole potential and the bonus.
    assert -3.0 < mean < 15.0 and spread >= 0.0
