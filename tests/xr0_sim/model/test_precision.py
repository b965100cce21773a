"""Number formats of the large products: which one runs, how far it is from float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.xr0.checkpoints import checkpoint_heads, find_checkpoint
from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.flow import euler_sample
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.compute.matmul import LEAST_PACKED_WEIGHTS, PackedProduct, make_product
from xr0_sim.model.compute.precision import (
    PRECISIONS,
    REDUCED,
    Features,
    choose_precision,
    cpu_features,
    expert_weights,
    vlm_precision,
)
from xr0_sim.model.compute.reduced_linear import ReducedLinear, reduce_products
from xr0_sim.model.policy_loading import load_policy_model, random_policy_model
from xr0_sim.model.policy_model import PolicyModel
from xr0_sim.model.spec.presets import PRESETS, preset_config
from xr0_sim.model.vlm.cache import VlmCache

STEPS = 5
BOTH, NEITHER = Features(True, True), Features(False, False)
BOUNDS = {"bfloat16": (0.02, 0.05), "int8": (0.08, 0.1)}
"""RMS and largest deviation, as shares of the RMS and the largest movement of a chunk."""
OFFERED = [name for name in REDUCED if cpu_features().offers(name)]
SMALL = expert_weights(PRESETS["small"].dit_layers, PRESETS["small"].dit_hidden)


@pytest.fixture(scope="module")
def setting():
    """An expert with an uneven field, and three frames."""
    generator = torch.Generator().manual_seed(0)
    config = preset_config("tiny", action_window=4, noisy_position_offset=10)
    expert = ActionExpert(config)
    with torch.no_grad():
        for weights in expert.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) * 0.08)
            if weights.ndim == 1:
                weights.add_(1.0)
    text = config.vlm_config.text_config
    shape = (2, 3, text.num_key_value_heads, 40, text.head_dim)
    mask = torch.ones(3, 40, dtype=torch.bool)
    mask[-1, 33:] = False
    layers = tuple(
        tuple(torch.randn(shape, generator=generator))
        for _ in range(config.dit_config.num_hidden_layers)
    )
    noise = torch.randn(3, config.action_length, 32, generator=generator) * expert.action_valid
    prefix = torch.randn(noise.shape, generator=generator) * expert.action_valid
    state = torch.randn(3, 32, generator=generator)
    cache = VlmCache(layers, mask, torch.arange(20, 23))
    return expert, (cache, state, prefix, torch.arange(3) * 2, noise)


@pytest.mark.parametrize("precision", OFFERED)
def test_reduced_formats_stay_near_float32(setting, precision):
    expert, inputs = setting
    plain = euler_sample(expert, *inputs, STEPS)
    sampler = FlowSampler(expert, STEPS, precision=precision)
    assert sampler.precision == precision
    found = sampler(*inputs)
    moved = (plain - inputs[-1])[:, 6:]
    assert moved.square().mean().sqrt() > 0.1  # the field does something
    rms, largest = BOUNDS[precision]
    gap = (found - plain)[:, 6:]
    assert 0 < gap.square().mean().sqrt() < rms * moved.square().mean().sqrt()
    assert gap.abs().max() < largest * moved.abs().max()
    for row, length in enumerate(inputs[3]):
        assert torch.equal(found[row, :length], inputs[2][row, :length])


@pytest.mark.parametrize("precision", ["float32", *OFFERED])
def test_equal_inputs_give_equal_chunks_whatever_came_before(setting, precision):
    expert, inputs = setting
    cache, *rest = inputs
    sampler = FlowSampler(expert, STEPS, precision=precision)
    first = sampler(*inputs)
    keep = torch.tensor([1])
    shorter = VlmCache(
        tuple((k[keep, :, :25] * 2, v[keep, :, :25] * 2) for k, v in cache.layers),
        cache.key_mask[keep, :25],
        cache.next_position[keep],
    )
    sampler(shorter, *(part[keep] for part in rest))
    assert torch.equal(sampler(*inputs), first)
    assert torch.equal(FlowSampler(expert, STEPS, precision=precision)(*inputs), first)


def test_auto_is_float32_for_small_experts(setting):
    expert, inputs = setting
    sampler = FlowSampler(expert, STEPS)
    assert sampler.precision == "float32"
    assert torch.equal(sampler(*inputs), FlowSampler(expert, STEPS, precision="float32")(*inputs))
    for name in ("nano", "tiny"):
        weights = expert_weights(PRESETS[name].dit_layers, PRESETS[name].dit_hidden)
        assert choose_precision("auto", weights, BOTH) == "float32"


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (BOTH, "int8"),
        (Features(bfloat16=True, int8=False), "bfloat16"),
        (Features(bfloat16=False, int8=True), "int8"),
        (NEITHER, "float32"),
    ],
)
def test_auto_is_the_fastest_on_offer_for_large_experts(features, expected):
    assert choose_precision("auto", SMALL, features) == expected


@pytest.mark.parametrize(
    ("expert", "features", "expected"),
    [
        ("float32", BOTH, "float32"),
        ("int8", BOTH, "bfloat16"),
        ("bfloat16", BOTH, "bfloat16"),
        ("int8", Features(bfloat16=False, int8=True), "int8"),
    ],
)
def test_the_brain_follows_the_expert(expert, features, expected):
    assert vlm_precision(expert, features) == expected


def test_the_weights_are_counted():
    config = preset_config("nano")
    expert = ActionExpert(config)
    linear = [m for m in expert.dit.modules() if isinstance(m, torch.nn.Linear)]
    dit = config.dit_config
    counted = expert_weights(dit.num_hidden_layers, dit.hidden_size)
    assert counted == sum(layer.weight.numel() for layer in linear)


def test_names_are_checked_where_they_are_given():
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        choose_precision("bfloat61", 1, BOTH)
    with pytest.raises(ConfigError, match="does not multiply in int8; available: auto, float32"):
        choose_precision("int8", 1, NEITHER)
    policy = random_policy_model(preset_config("nano"), 0)
    assert policy.precision == PRECISIONS[0] and policy.sampler.precision == "float32"
    with pytest.raises(ConfigError, match="did you mean 'int8'"):
        PolicyModel(policy.model, policy.processor, policy.normalizer, "int9")


@pytest.mark.skipif(not OFFERED, reason="this processor reduces nothing")
def test_weights_of_another_format_are_not_reduced():
    expert = ActionExpert(preset_config("nano")).bfloat16()
    assert FlowSampler(expert, STEPS).precision == "float32"
    with pytest.raises(ConfigError, match="expected float32 weights"):
        FlowSampler(expert, STEPS, precision=OFFERED[0])


@pytest.mark.parametrize("precision", ["float32", *OFFERED])
@pytest.mark.parametrize("biased", [False, True])
def test_large_products_are_those_of_a_linear_layer(precision, biased):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(LEAST_PACKED_WEIGHTS // 256, 256, generator=generator) / 16
    x = torch.randn(32, 256, generator=generator)
    x[3] *= 100.0  # a token far larger than the others must not cost them their digits
    x[5] = 0.0
    bias = torch.randn(len(weight), generator=generator) if biased else None
    given = x.clone()
    found = make_product(weight, precision)(x, bias)
    expected = torch.nn.functional.linear(x, weight, bias)
    scale = expected.abs().amax(1, keepdim=True).clamp_min(1.0)
    allowed = {"float32": 1e-6, "bfloat16": 0.01, "int8": 0.02}[precision]
    assert ((found - expected) / scale).abs().max() < allowed
    assert torch.equal(x, given) and found.dtype == torch.float32


def test_blocked_layouts_are_for_large_float32_weights():
    large = torch.randn(LEAST_PACKED_WEIGHTS // 256, 256)
    packable = torch.backends.mkldnn.is_available()
    assert isinstance(make_product(large, "float32"), PackedProduct) == packable
    assert not isinstance(make_product(large[:128], "float32"), PackedProduct)
    half = make_product(large.bfloat16(), "float32")
    assert half(torch.randn(2, 256).bfloat16(), None).dtype == torch.bfloat16


VLM_BOUNDS = {"bfloat16": 0.02, "int8": 0.08}
"""RMS deviation of the cache as a share of its spread; measured 0.006 and 0.02."""


def read_frames(policy):
    size = policy.config.image_size
    images = np.random.default_rng(0).integers(0, 256, (2, 3, size, size, 3), dtype=np.uint8)
    inputs = policy.processor(images, ["fold it", "take it apart"])
    with torch.no_grad():
        return policy.model.encode(inputs).stacked()


@pytest.mark.parametrize("products", OFFERED)
def test_a_brain_that_multiplies_in_fewer_bits_sees_nearly_the_same(products):
    policy = random_policy_model(preset_config("tiny"), 0)
    exact = read_frames(policy)
    features = Features(bfloat16=products == "bfloat16", int8=products == "int8")
    reduce_products(policy.model.vlm, products, features)
    found = read_frames(policy)
    gap = (found - exact).square().mean().sqrt() / exact.std()
    assert 0 < gap < VLM_BOUNDS[products]
    assert torch.equal(read_frames(policy), found)
    vlm = policy.model.vlm.model
    reduced = [part for part in vlm.modules() if isinstance(part, ReducedLinear)]
    text, blocks = vlm.language_model.layers, vlm.visual.blocks
    assert len(reduced) >= 5 * len(text) + 4 * len(blocks)
    assert all(isinstance(block.attn.qkv, ReducedLinear) for block in blocks)


@pytest.mark.skipif(not OFFERED, reason="this processor reduces nothing")
def test_a_loaded_policy_runs_both_parts_in_its_format():
    path = find_checkpoint(None)
    head = checkpoint_heads(path)[0]
    exact, reduced = (load_policy_model(path, head, p) for p in ("float32", OFFERED[0]))
    kinds = [
        {type(layer.mlp.up_proj) for layer in policy.model.vlm.model.language_model.layers}
        for policy in (exact, reduced)
    ]
    assert kinds == [{torch.nn.Linear}, {ReducedLinear}]
    assert reduced.sampler.precision == OFFERED[0]
    scale = read_frames(exact).std()
    assert 0 < (read_frames(reduced) - read_frames(exact)).square().mean().sqrt() < 0.05 * scale


def test_float32_and_stored_bits_leave_the_brain_alone():
    vlm = random_policy_model(preset_config("nano"), 0).model.vlm
    reduce_products(vlm, "float32", BOTH)
    reduce_products(vlm.bfloat16(), "int8", BOTH)
    assert not any(isinstance(part, ReducedLinear) for part in vlm.modules())
