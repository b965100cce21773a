"""``--policy rl_separate``: the agent that ships, behind the executor."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_agent import agent

from assets import AGENT_DIR
from envs.tasks import make_env
from experiments.cli import main
from experiments.rl.evaluation import evaluate
from experiments.rl.watch import TUNING_SEED
from policies.rl.agent import load_agent
from policies.rl.decisions import DECISION_TICKS
from policies.rl.policy import SHIPPED_AGENT, AgentChunkModel, RlSeparate
from policies.rl.staged_env import StagedBlocks
from policies.table import policy_spec
from xr0_sim.errors import ConfigError
from xr0_sim.types import ChunkRequest

SEED = 60_200


@pytest.fixture(scope="module")
def env():
    made = make_env("block_dismantling")
    made.reset_scene(SEED)
    yield made
    made.close()


def request(env, prefix=None):
    prefix = np.empty((0, 14)) if prefix is None else prefix
    return ChunkRequest(env.observe(images=False), prefix, (0, 0))


def test_a_chunk_begins_with_its_prefix_and_leaves_the_episode_as_it_is(env):
    model = AgentChunkModel(env, agent())
    before = env.snapshot().physics
    first = model.infer_request(request(env))[0].actions
    again = model.infer_request(request(env))[0].actions
    assert np.array_equal(first, again) and first.shape == (30, 14)
    behind = model.infer_request(request(env, first[:7]))[0].actions
    assert np.array_equal(behind[:7], first[:7])
    assert env.tick == 0 and np.array_equal(env.snapshot().physics, before)
    # Behind a prefix that ends with a decision the agent goes on as it would have.
    aligned = model.infer_request(request(env, first[:DECISION_TICKS]))[0].actions
    assert np.allclose(aligned, first)


def test_other_tasks_and_other_words_are_one_line():
    with pytest.raises(ConfigError, match="expected env block_dismantling"):
        AgentChunkModel(make_env("towel_folding"), agent())
    with pytest.raises(ConfigError, match=r"RlSeparate\.then"):
        policy_spec("rl_separate:then=sleep")
    with pytest.raises(ConfigError, match="expected a safetensors file"):
        RlSeparate(agent="nowhere.safetensors").load(None)


def test_the_agent_that_ships_is_small_and_says_what_it_is():
    path = AGENT_DIR / f"{SHIPPED_AGENT}.safetensors"
    assert path.stat().st_size < 1_000_000
    record = load_agent(path).record
    assert record["stage"] == "separate" and record["env_kwargs"]["world"] == "0.2"


def test_the_agent_that_ships_takes_bricks_off():
    agent = load_agent(AGENT_DIR / f"{SHIPPED_AGENT}.safetensors")
    env = StagedBlocks("separate")
    rows = evaluate(agent, env, range(TUNING_SEED, TUNING_SEED + 8))
    env.close()
    assert sum(row["success"] for row in rows) >= 6  # all of these, 189 of 200 held-out ones


def test_it_runs_behind_latency_and_a_strategy(tmp_path, capsys):
    words = ["rollout", "--policy", "rl_separate:then=stay", "--event", "none", "--no-video"]
    words += ["--episodes", "1", "--seed", str(SEED), "--max-seconds", "8", "--json"]
    words += ["--strategy", "prefix_async", "--latency", "80ms", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)
    assert (tmp_path / "run").is_dir()
