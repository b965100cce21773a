"""The agent's file: plain arrays, checked; and the agent as chunk source behind an executor."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import save_file

from policies.rl.agent import Agent, load_agent
from policies.rl.decisions import DECISION_DIM
from policies.rl.features import FEATURE_DIM
from xr0_sim.errors import ConfigError


def agent(hidden=8, seed=0):
    rng = np.random.default_rng(seed)
    sizes = [FEATURE_DIM, hidden, hidden, DECISION_DIM]
    layers = [
        (
            rng.standard_normal((after, before)).astype(np.float32),
            rng.standard_normal(after).astype(np.float32),
        )
        for before, after in pairwise(sizes)
    ]
    mean, variance = rng.standard_normal(FEATURE_DIM), rng.uniform(0.5, 2.0, FEATURE_DIM)
    return Agent(mean, variance, layers, {"stage": "separate"})


def test_an_agent_comes_back_as_it_was(tmp_path):
    made = agent()
    made.save(tmp_path / "agent.safetensors")
    again = load_agent(tmp_path / "agent.safetensors")
    features = np.random.default_rng(1).standard_normal((5, FEATURE_DIM))
    assert np.array_equal(again.decide(features), made.decide(features))
    assert again.record == {"stage": "separate"}
    assert np.abs(made.decide(features)).max() <= 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["agent.safetensors"]


def test_other_files_are_one_line(tmp_path):
    path = tmp_path / "agent.safetensors"
    with pytest.raises(ConfigError, match="expected a safetensors file"):
        load_agent(path)
    path.write_bytes(b"\x80\x04no pickle is read")
    with pytest.raises(ConfigError, match="expected a safetensors file"):
        load_agent(path)
    save_file({"mean": np.zeros(3)}, path)
    with pytest.raises(ConfigError, match="expected format"):
        load_agent(path)
    agent().save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="expected a safetensors file") as caught:
        load_agent(path)
    assert "\n" not in str(caught.value)


def test_arrays_that_do_not_fit_are_refused():
    made = agent(hidden=12)
    for layers in ([], made.layers[:2], made.layers[1:]):
        with pytest.raises(ConfigError, match="expected finite layers"):
            Agent(made.mean, made.variance, layers)
    with pytest.raises(ConfigError, match="expected finite layers"):
        Agent(np.full(FEATURE_DIM, np.nan), made.variance, made.layers)
