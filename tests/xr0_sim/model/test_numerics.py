"""The torch model against the description in NumPy: mask, layer, velocity, Euler loop, bfloat16."""

from __future__ import annotations

import numpy as np
import numpy_reference as reference
import pytest
import torch
from released_files import write_released

from xr0_sim.model.action_expert.dit import Context, Layer, additive, joint_attention
from xr0_sim.model.action_expert.masks import expert_mask, expert_positions
from xr0_sim.model.checkpoints.released import load_released, save_released
from xr0_sim.model.spec.config import XR0DiTConfig
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.model.vlm.stock import stock_forward, stock_vlm

THETA = 5e6
HEAD_DIM = 16
PATHS = {
    "released": {},
    "post_training": {"action_window": 2, "noisy_position_offset": 10, "prefix_max": 3},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("numerics")
    write_released(directory)
    return directory


def random_cache(generator, layers=2, kv_heads=2, length=9, width=HEAD_DIM, frames=1):
    stacked = torch.randn(frames, layers, 2, kv_heads, length, width, generator=generator)
    seen = torch.ones(frames, length, dtype=torch.bool)
    return VlmCache.from_stacked(stacked, seen, torch.full((frames,), 40))


def as_numpy(cache):
    return [(k[0].double().numpy(), v[0].double().numpy()) for k, v in cache.layers]


def assert_close(got, want, tolerance=1e-5):
    """Deviation in units of the largest entry."""
    want = np.asarray(want)
    error = np.abs(np.asarray(got, np.float64) - want).max() / max(1.0, np.abs(want).max())
    assert error <= tolerance, error


@pytest.mark.parametrize("actions", [1, 4, 30])
@pytest.mark.parametrize("window", [None, 0, 1, 4])
def test_mask(actions, window):
    want = reference.lambda_mask(actions, window)
    np.testing.assert_array_equal(expert_mask(actions, window).numpy(), want)


@pytest.mark.parametrize("prefix", [0, 2, 6])
@pytest.mark.parametrize("offset", [0, 10])
def test_positions(prefix, offset):
    got = expert_positions(torch.tensor([57]), torch.tensor([prefix]), 30, offset)
    np.testing.assert_array_equal(got[0].numpy(), reference.positions(57, 30, prefix, offset))


def test_one_layer_at_full_width():
    """1024 wide, 8 heads of 128, 30 actions over 50 cached tokens, float32."""
    generator = torch.Generator().manual_seed(0)
    layer = Layer(XR0DiTConfig())
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
            if "norm" in name:
                parameter.mul_(3.0).add_(1.0)
    cache = random_cache(generator, layers=1, kv_heads=8, length=50, width=128)
    place = reference.positions(40, 30, prefix=3, offset=10)
    angles = torch.tensor(place)[None, :, None] * THETA ** (-torch.arange(0, 128, 2) / 128)
    angles = torch.cat([angles, angles], -1).float()
    context = Context(angles.cos(), angles.sin(), cache, expert_mask(30, 4))
    x, modulation = torch.randn(38, 1024, generator=generator).split([32, 6])
    with torch.no_grad():
        got = layer(x[None], cache.layers[0], modulation[None], context)[0]
    weights = {n: p.detach().double().numpy() for n, p in layer.named_parameters()}
    x, modulation = x.double().numpy(), modulation.double().numpy()
    seen = (*as_numpy(cache)[0], reference.lambda_mask(30, 4), place)
    want = reference.layer(weights, x, modulation, *seen, 128, THETA)
    assert_close(got, want)


@pytest.mark.parametrize("path", PATHS)
def test_velocity_and_euler_loop(checkpoint, path):
    """Released files, both published paths; masked entries drift in the reference, unseen."""
    model = load_released(checkpoint, **PATHS[path])
    weights = {n: t.double().numpy() for n, t in model.state_dict().items() if "vlm." not in n}
    generator = torch.Generator().manual_seed(1)
    cache, d = random_cache(generator), PATHS[path].get("prefix_max", 0)
    state = torch.randn(1, 32, generator=generator)
    mask = torch.zeros(4, 32)
    mask[:, :7] = 1.0
    prefix = torch.randn(1, d, 32, generator=generator) * mask[:d]
    call = {
        "state": state[0].double().numpy(),
        "cache": as_numpy(cache),
        "place": reference.positions(40, 4, d, model.config.noisy_position_offset),
        "mask": reference.lambda_mask(4, model.config.action_window),
        "action_mask": mask.double().numpy(),
        "head_dim": HEAD_DIM,
        "theta": THETA,
    }
    noise = torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(7))

    rows, time = torch.cat([prefix, noise[:, d:]], 1), torch.tensor([0.4])
    lengths = torch.tensor([d])
    with torch.no_grad():
        got = model.expert(rows, time, state, cache, lengths, action_mask=mask)
    want = reference.velocity(weights, rows[0].double().numpy(), 0.4, **call)
    assert_close(got[0, d:, :7], want[d:, :7])
    assert (got[0, :d] == 0).all() and (got[..., 7:] == 0).all()

    got = model.sample_actions(
        cache, state, prefix, lengths, torch.Generator().manual_seed(7), mask
    )
    want = reference.euler(
        weights, noise[0].double().numpy(), prefix[0].double().numpy(), 5, **call
    )
    assert_close(got[0, :, :7], want[:, :7])
    assert np.abs(want[d:, 7:]).max() > 0.1 and (got[..., 7:] == 0).all()


def test_rotation_is_the_stock_interleaved_one_on_equal_axes(checkpoint):
    model = load_released(checkpoint)
    place = torch.tensor(reference.positions(40, 4, 1, 10))[None]
    language = stock_vlm(model.vlm).model.language_model
    stock = language.rotary_emb(torch.zeros(1), place.expand(3, 1, -1))
    angles = place[..., None] * torch.tensor(model.expert.inverse_frequency)
    angles = torch.cat([angles, angles], -1)
    torch.testing.assert_close(stock[0], angles.cos(), atol=1e-5, rtol=0)
    torch.testing.assert_close(stock[1], angles.sin(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 8), (4, 2), (3, 1)])
def test_cache_and_own_tokens_are_one_sequence(heads, kv_heads):
    """Full attention over the concatenation, with padded caches and the window's mask."""
    generator = torch.Generator().manual_seed(2)
    frames, tokens, length, width = 3, 32, 21, 16
    query, key, value = torch.randn(3, frames, heads, tokens, width, generator=generator)
    cached = torch.randn(2, frames, kv_heads, length, width, generator=generator)
    visible = torch.arange(length) < torch.tensor([[21], [20], [5]])
    own = expert_mask(30, 4)[None]
    got = joint_attention(query, key, value, *cached, additive(visible), additive(own))
    wide = cached.repeat_interleave(heads // kv_heads, 2)
    mask = torch.cat([visible[:, None].expand(-1, tokens, -1), own.expand(frames, -1, -1)], -1)
    want = torch.nn.functional.scaled_dot_product_attention(
        query, torch.cat([wide[0], key], 2), torch.cat([wide[1], value], 2), attn_mask=mask[:, None]
    )
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_bfloat16_stays_within_bounds(checkpoint, tmp_path):
    """Same rounded weights, arithmetic in float32 and in bfloat16, relative RMS deviation.

    Bounds: 2 % for the keys and values of a VLM, and no more than 1.2 times what the stock forward
    deviates; 1 % for a chunk after five Euler steps, over the exact cache and over the rounded one.
    One bfloat16 rounding alone is 0.2 %.
    """
    save_released(load_released(checkpoint), tmp_path)
    half, full = load_released(tmp_path), load_released(tmp_path, torch.float32)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    processor = XR0Processor(full.config)
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 64, 64, 3), dtype=np.uint8)
    inputs = processor(images, ["Fold the towel."] * 4)
    with torch.no_grad():
        caches = {model: model.encode(inputs) for model in (half, full)}
    state = torch.randn(4, 32, generator=torch.Generator().manual_seed(5))
    empty, lengths = torch.zeros(4, 0, 32), torch.zeros(4, dtype=torch.long)

    def chunk(model, cache):
        return model.sample_actions(cache, state, empty, lengths, torch.Generator().manual_seed(6))

    def deviation(got, want):
        return float((got.float() - want).square().mean().sqrt() / want.square().mean().sqrt())

    exact = chunk(full, caches[full])
    assert exact.dtype == chunk(half, caches[half]).dtype == torch.float32
    assert deviation(chunk(half, caches[full]), exact) < 0.01
    assert deviation(chunk(half, caches[half]), exact) < 0.01

    cache = deviation(caches[half].stacked(), caches[full].stacked())
    with torch.no_grad():
        stock = stock_forward(stock_vlm(half.vlm), inputs, use_cache=True)
    layers = [torch.stack([x.keys, x.values], 1) for x in stock.past_key_values.layers[-2:]]
    assert cache < 0.02
    assert cache < 1.2 * deviation(torch.stack(layers, 1), caches[full].stacked())
