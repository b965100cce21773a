"""The Λ window at inference, apart from everything else a head was trained with."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.commands.rollout import RolloutConfig
from policies.xr0.loading import load_chunk_model
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import to_json
from xr0_sim.types import Observation


@pytest.fixture(scope="module")
def observation():
    from envs.tasks import make_env

    env = make_env("block_dismantling", image_size=128)
    env.reset_scene(0)
    found = env.observe()
    env.close()
    return found


def chunk(observation: Observation, window: int | None) -> np.ndarray:
    model = load_chunk_model("block_dismantling", "prefix_lambda", window=window)
    return model.infer(observation, np.empty((0, 14)), (0, 0)).actions


def test_the_window_changes_the_chunk_and_the_trained_one_does_not(observation):
    trained = RolloutConfig().condition().weights.trained_window
    as_trained = chunk(observation, None)
    assert trained is not None
    assert np.array_equal(chunk(observation, trained), as_trained)
    assert not np.array_equal(chunk(observation, 0), as_trained)


def test_the_caption_and_the_card_say_when_it_is_not_the_trained_one():
    condition = RolloutConfig(window=2).condition()
    trained = condition.weights.trained_window
    assert f"prefix_lambda Λ=2 (trained: {trained})" in condition.label
    assert to_json(condition)["weights"]["window"] == 2
    same = RolloutConfig(window=trained).condition()
    assert "Λ=" not in same.label


@pytest.mark.parametrize("window", [-1, 5000])
def test_a_window_that_is_none_is_one_line(window):
    with pytest.raises(ConfigError, match="--window: expected 0"):
        RolloutConfig(window=window).condition()
    with pytest.raises(ConfigError, match="window: expected 0"):
        load_chunk_model("block_dismantling", "sync", window=window)


def test_policies_without_weights_have_no_window():
    with pytest.raises(ConfigError, match="--window: policy 'oracle' has no weights"):
        RolloutConfig(policy="oracle", window=2).condition()
