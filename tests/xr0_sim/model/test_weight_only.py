"""A VLM in fewer bits: how far it deviates, how much memory it takes, and what it refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from xr0_sim.errors import ConfigError
from xr0_sim.model.compute.precision import VLM_WEIGHTS
from xr0_sim.model.compute.weight_only import held_bytes, reduce_vlm
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config

BOUNDS = {"int8": 0.03, "int4": 0.4}
"""Largest root-mean-square deviation of the cache over its own spread."""


def encoded(weights):
    policy = random_policy_model(preset_config("tiny"), seed=0)
    size = policy.config.image_size
    images = np.random.default_rng(0).integers(0, 256, (2, 3, size, size, 3), dtype=np.uint8)
    reduce_vlm(policy.model.vlm, weights)
    with torch.no_grad():
        cache = policy.model.encode(policy.processor(images, ["fold it", "take it apart"]))
    return policy, cache.stacked()


@pytest.mark.parametrize("weights", BOUNDS)
def test_a_reduced_brain_sees_nearly_the_same(weights):
    policy, exact = encoded("stored")
    reduced, cache = encoded(weights)
    gap = (cache - exact).square().mean().sqrt() / exact.std()
    assert 0 < gap < BOUNDS[weights]
    layers = [p.model.vlm.model.language_model.layers for p in (policy, reduced)]
    assert held_bytes(layers[1]) < 0.35 * held_bytes(layers[0])
    again = encoded(weights)[1]
    assert torch.equal(again, cache)


def test_four_bits_are_coarser_than_eight():
    exact = encoded("stored")[1]
    gaps = [float((encoded(name)[1] - exact).abs().mean()) for name in ("int8", "int4")]
    assert gaps[1] > 3 * gaps[0]


def test_what_is_refused(monkeypatch):
    vlm = random_policy_model(preset_config("nano"), seed=0).model.vlm
    assert VLM_WEIGHTS[0] == "stored"
    before = held_bytes(vlm)
    reduce_vlm(vlm, "stored")
    assert held_bytes(vlm) == before
    with pytest.raises(ConfigError, match="did you mean 'int8'"):
        reduce_vlm(vlm, "int9")
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(ConfigError, match=r"expected the package torchao.*\[quantization\]"):
        reduce_vlm(vlm, "int8")
    assert held_bytes(vlm) == before
