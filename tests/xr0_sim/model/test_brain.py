"""The batched pass over our modules of Qwen3-VL equals the stock forward."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xr0_sim.errors import ConfigError
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.forward import final_hidden, forward
from xr0_sim.model.vlm.stock import stock_forward, stock_positions, stock_vlm

TEXTS = ["Fold the towel in half.", "Put the red brick into the red bin, then the blue one."]


@pytest.fixture(scope="module")
def policy():
    policy = random_policy_model(preset_config("nano"), seed=0)
    generator = torch.Generator().manual_seed(5)
    for parameter in policy.model.vlm.parameters():
        parameter.data.normal_(0.0, 0.2, generator=generator)
    return policy


@pytest.fixture(scope="module")
def inputs(policy):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
    return policy.processor(images, TEXTS)


def test_equals_the_stock_forward(policy, inputs):
    vlm = policy.model.vlm
    with torch.no_grad():
        _, cache = forward(vlm, inputs, 2)
        stock = stock_forward(stock_vlm(vlm), inputs, use_cache=True)
    real = inputs.key_mask()
    for mine, theirs in zip(cache.layers, stock.past_key_values.layers, strict=True):
        seen = real[:, None, :, None].expand_as(mine[0])
        torch.testing.assert_close(mine[0][seen], theirs.keys[seen], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mine[1][seen], theirs.values[seen], atol=1e-5, rtol=1e-5)


def test_the_last_layer_equals_the_stock_one(policy, inputs):
    vlm = policy.model.vlm
    with torch.no_grad():
        before, _ = forward(vlm, inputs, 2)
        mine = final_hidden(vlm, before[-1], inputs)
        stock = stock_forward(stock_vlm(vlm), inputs).last_hidden_state
    real = inputs.key_mask()
    torch.testing.assert_close(mine[real], stock[real], atol=1e-4, rtol=1e-4)


def test_position_ids_equal_the_stock_ones(policy, inputs):
    positions = stock_positions(stock_vlm(policy.model.vlm), inputs)
    assert torch.equal(positions, inputs.position_ids)
    cache = policy.model.encode(inputs)
    assert torch.equal(cache.next_position, positions.amax((0, 2)) + 1)


def test_cache_does_not_depend_on_the_neighbour_in_the_batch(policy, inputs):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
    alone = policy.model.encode(policy.processor(images[:1], TEXTS[:1]))
    both = policy.model.encode(inputs)
    length = alone.key_mask.shape[1]
    for one, two in zip(alone.layers, both.layers, strict=True):
        torch.testing.assert_close(one[0][0], two[0][0, :, :length], atol=1e-5, rtol=1e-5)


def test_expert_must_fit_the_brain():
    with pytest.raises(ConfigError, match="same cache"):
        config = preset_config("nano").to_dict()
        config["dit_config"]["head_dim"] = 8
        type(preset_config("nano"))(**config)
    with pytest.raises(ConfigError, match="did you mean 'nano'"):
        preset_config("nanno")
