"""A task is one spec: what ships has one, and so may a plug-in."""

import json

import gymnasium as gym
import numpy as np
import pytest

from envs import ENV_IDS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.task_spec import TaskSpec
from envs.tasks import SHIPPED, make_env, parse_task, register_events, spec_of, task_spec
from experiments.cli import main
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import time_limit_ticks
from policies.scripted.experts import make_expert
from policies.supervision.table import lesson
from xr0_sim.errors import ConfigError
from xr0_sim.registry import tasks

PLUGIN = """
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.task_spec import TaskSpec
from xr0_sim.registry import tasks


class OneBrickEnv(BlockDismantlingEnv):
    def __init__(self, *, n_objects: int = 1, **kwargs):
        super().__init__(n_bricks=n_objects, **kwargs)


SPEC = TaskSpec(
    env=OneBrickEnv,
    env_kwargs={"n_objects": 1},
    time_limit_s=0.5,
    pieces="objects",
    count=lambda info: info["bricks"].count("sorted"),
    expert="policies.scripted.blocks.expert:BlockExpert",
)
tasks.add("one_brick", SPEC, "a test")
"""


@pytest.fixture
def registered(monkeypatch):
    """Registers tasks for one test."""
    monkeypatch.setattr(tasks, "_entries", dict(tasks._entries))
    monkeypatch.setattr("xr0_sim.plugins._loaded", {})
    return tasks.add


@pytest.mark.parametrize("task", SHIPPED)
def test_whatever_a_shipped_spec_names_can_be_imported(task):
    spec = task_spec(task)
    env = make_env(task, **spec.complete({}))
    assert spec_of(env) == (task, spec)
    assert make_expert(env) and lesson(task).events
    register_events(task)
    assert spec.gym_id == ENV_IDS[task]


def test_the_other_levels_of_a_task_have_the_same_time_limit_through_both_doors():
    for text in (
        "block_dismantling",
        "block_dismantling:n_bricks=8",
        "towel_folding",
        "towel_folding:level=quarter",
        "towel_folding:level=full",
        "towel_folding:continuous=true",
    ):
        options = TaskOptions(text)
        task, given = parse_task(text)
        ticks = time_limit_ticks(task, options.env_kwargs(), None)
        env = gym.make(ENV_IDS[task], observation="state", **given)
        assert env.spec.max_episode_steps == ticks, text
        assert gym.make(env.spec).spec.max_episode_steps == ticks, text


def test_an_episode_of_gymnasium_is_truncated_at_the_limit_of_its_task(monkeypatch):
    monkeypatch.setattr("envs.block_dismantling.spec.SHORTEST_LIMIT_S", 0.1)
    monkeypatch.setattr("envs.block_dismantling.spec.SECONDS_PER_BRICK", 0.1)
    env = gym.make(ENV_IDS["block_dismantling"], observation="state", n_bricks=3)
    for _ in range(2):
        env.reset(seed=0)
        ends = [env.step(np.zeros(14, np.float32))[2:4] for _ in range(9)]
        assert ends == [(False, False)] * 8 + [(False, True)]


def test_a_limit_asked_for_replaces_that_of_the_task():
    env = gym.make(ENV_IDS["block_dismantling"], observation="state", max_episode_steps=5000)
    assert env.spec.max_episode_steps == 5000 and env.limit_ticks is None
    env = gym.make(ENV_IDS["block_dismantling"], observation="state", max_episode_steps=2)
    env.reset(seed=0)
    assert [env.step(np.zeros(14, np.float32))[3] for _ in range(2)] == [False, True]


def test_a_task_of_a_plugin_runs_on_the_command_line(tmp_path, capfd, monkeypatch, registered):
    file = tmp_path / "one_brick.py"
    file.write_text(PLUGIN)
    from xr0_sim.plugins import load_plugin

    load_plugin(str(file))
    words = ["rollout", "--env", "one_brick:n_objects=2", "--policy", "oracle", "--episodes", "1"]
    words += ["--event", "none", "--no-video", "--json", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["config"]["env"] == "one_brick"
    assert found["config"]["env_kwargs"]["n_objects"] == 2
    assert found["config"]["max_ticks"] == 15
    assert found["objects_per_min"]["n"] == 1


def test_what_a_spec_lacks_is_said_in_one_line(registered):
    class BareEnv(BlockDismantlingEnv):
        pass

    registered("bare", TaskSpec(env=BareEnv))
    registered("no_spec", 7)
    registered("no_env", TaskSpec(env="envs.plant:EnvPlant"))
    env = make_env("bare")
    for call, words in (
        (lambda: make_expert(env), "TaskSpec names none"),
        (lambda: lesson("bare"), "expected supervision"),
        (lambda: parse_task("bare:size=3"), "unknown field of env 'bare' 'size'"),
        (lambda: TaskOptions("bare", n_bricks=3).env_kwargs(), "it takes --world, --servo"),
        (lambda: task_spec("no_spec"), "expected an envs.task_spec.TaskSpec, got 7"),
        (lambda: make_env("no_env"), "expected a subclass of envs.dual_arm.DualArmEnv"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()
