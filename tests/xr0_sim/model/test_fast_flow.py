"""The prepared Euler loop gives what the plain one gives."""

from __future__ import annotations

import pytest
import torch

from xr0_sim.model.action_expert.flow import euler_sample
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.compute.precision import cpu_features
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.cache import VlmCache

STEPS = 5


def setting(action_window, offset, rows, generator):
    config = preset_config("tiny", action_window=action_window, noisy_position_offset=offset)
    expert = ActionExpert(config)
    with torch.no_grad():
        for weights in expert.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) * 0.08)
            if weights.ndim == 1:
                weights.add_(1.0)
    text = config.vlm_config.text_config
    shape = (rows, text.num_key_value_heads, 40, text.head_dim)
    mask = torch.ones(rows, 40, dtype=torch.bool)
    mask[-1, 33:] = False
    layers = tuple(
        (torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))
        for _ in range(config.dit_config.num_hidden_layers)
    )
    cache = VlmCache(layers, mask, torch.arange(20, 20 + rows))
    chunk = (rows, config.action_length, 32)
    noise = torch.randn(chunk, generator=generator) * expert.action_valid
    prefix = torch.randn(chunk, generator=generator) * expert.action_valid
    state = torch.randn(rows, 32, generator=generator)
    return expert, cache, state, prefix, torch.arange(rows) * 2, noise


@pytest.mark.parametrize(("action_window", "offset"), [(None, 0), (4, 10)])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_plain_loop(action_window, offset, rows, masked):
    generator = torch.Generator().manual_seed(0)
    expert, *inputs = setting(action_window, offset, rows, generator)
    mask = None
    if masked:
        mask = (torch.rand(inputs[-1].shape, generator=generator) < 0.5).float()
        inputs[-1] *= mask
    plain = euler_sample(expert, *inputs, STEPS, mask)
    fast = FlowSampler(expert, STEPS)(*inputs, mask)
    moved = (plain - inputs[-1]).abs()[:, 6:]
    assert moved.max() > 0.1  # the field does something
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_the_prefix_comes_back_bit_for_bit():
    expert, *inputs = setting(4, 10, 3, torch.Generator().manual_seed(1))
    fast = FlowSampler(expert, STEPS)(*inputs)
    prefix, lengths = inputs[2], inputs[3]
    for row, length in enumerate(lengths):
        assert torch.equal(fast[row, :length], prefix[row, :length])


def test_compiled_equals_eager_for_every_head_and_size():
    """Heads share what was compiled, sizes and formats do not."""
    heads = [setting(4, 10, 1, torch.Generator().manual_seed(seed)) for seed in (2, 3)]
    samplers = [FlowSampler(expert, STEPS, compile=True) for expert, *_ in heads]
    wide = setting(4, 10, 3, torch.Generator().manual_seed(4))[1:]
    for _ in range(2):
        for inputs in (heads[0][1:], wide, heads[1][1:]):
            chunks = [sampler(*inputs) for sampler in samplers]
            for (expert, *_), chunk in zip(heads, chunks, strict=True):
                plain = FlowSampler(expert, STEPS)(*inputs)
                torch.testing.assert_close(chunk, plain, atol=1e-5, rtol=1e-5)
            assert (chunks[0] - chunks[1]).abs().max() > 0.1
    if cpu_features().int8:
        expert = heads[0][0]
        int8 = FlowSampler(expert, STEPS, compile=True, precision="int8")(*wide)
        plain = FlowSampler(expert, STEPS, precision="int8")(*wide)
        torch.testing.assert_close(int8, plain, atol=0.05, rtol=0)
        assert not torch.allclose(int8, FlowSampler(expert, STEPS)(*wide), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cached", ["stored", "float32"])
@pytest.mark.parametrize("rows", [1, 3])
def test_weights_stored_in_half_precision_equal_the_plain_loop(dtype, cached, rows):
    """Rotary tables are float32 whatever the weights are.

    Chunk entries are of size 1. Both loops round to 8 (bfloat16) or 11 bits in every layer, each in
    its own order; they agree within four steps of the format at 1, and so does each with float32.
    """
    expert, cache, *inputs = setting(4, 10, rows, torch.Generator().manual_seed(5))
    exact = euler_sample(expert, cache, *inputs, STEPS)
    expert = expert.to(dtype)
    if cached == "stored":
        layers = tuple((key.to(dtype), value.to(dtype)) for key, value in cache.layers)
        cache = VlmCache(layers, cache.key_mask, cache.next_position)
    plain = euler_sample(expert, cache, *inputs, STEPS)
    fast = FlowSampler(expert, STEPS)(cache, *inputs)
    assert fast.dtype == plain.dtype == torch.float32
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(fast, plain, atol=tolerance, rtol=0)
    torch.testing.assert_close(fast, exact, atol=tolerance, rtol=0)
    assert (exact - inputs[-1]).abs()[:, 6:].max() > 0.1
