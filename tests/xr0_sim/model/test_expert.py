"""The action expert: joint attention, one layer against the formula, prefix behaviour."""

from __future__ import annotations

import numpy as np
import torch

from xr0_sim.model.action_expert.dit import Context, Layer, additive, joint_attention, rotate
from xr0_sim.model.action_expert.masks import expert_mask
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.initialization import initialize_expert
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.cache import VlmCache


def random_cache(frames=2, layers=2, kv_heads=2, length=9, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    stacked = torch.randn(frames, layers, 2, kv_heads, length, width, generator=generator)
    key_mask = torch.arange(length) < torch.tensor([[length], [length - 3]])[:frames]
    return VlmCache.from_stacked(stacked, key_mask, torch.tensor([length, length - 3])[:frames])


def nano_expert(**overrides):
    config = preset_config("nano", action_length=6, **overrides)
    expert = ActionExpert(config)
    initialize_expert(expert, torch.Generator().manual_seed(1))
    return expert.eval()


def test_folded_attention_equals_attention_over_concatenated_tokens():
    generator = torch.Generator().manual_seed(0)
    frames, repeat, heads, kv_heads, tokens, length, width = 2, 3, 4, 2, 5, 7, 8
    rows = frames * repeat
    q, k, v = torch.randn(3, rows, heads, tokens, width, generator=generator)
    cache_k, cache_v = torch.randn(2, frames, kv_heads, length, width, generator=generator)
    seen = torch.arange(length) < torch.tensor([[7], [4]])
    own = torch.rand(rows, tokens, tokens, generator=generator) < 0.5
    own |= torch.eye(tokens, dtype=torch.bool)
    got = joint_attention(q, k, v, cache_k, cache_v, additive(seen), additive(own))
    group = heads // kv_heads
    wide = [c.repeat_interleave(repeat, 0).repeat_interleave(group, 1) for c in (cache_k, cache_v)]
    mask = torch.cat(
        [seen.repeat_interleave(repeat, 0)[:, None].expand(-1, tokens, -1), own], dim=-1
    )
    want = torch.nn.functional.scaled_dot_product_attention(
        q, torch.cat([wide[0], k], 2), torch.cat([wide[1], v], 2), attn_mask=mask[:, None]
    )
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_layer_against_the_formula_in_numpy():
    config = preset_config("nano").dit_config
    torch.manual_seed(0)
    layer = Layer(config).double()
    for parameter in layer.parameters():
        parameter.data.normal_(std=0.3)
    tokens, length, width, heads = 4, 3, config.head_dim, 2
    cache = random_cache(frames=1, layers=1, length=length, width=width)
    angles = torch.arange(tokens)[None, :, None] * torch.linspace(1, 0.1, width // 2)
    angles = torch.cat([angles, angles], -1)
    context = Context(angles.cos(), angles.sin(), cache, expert_mask(tokens - 2, 1))
    x = torch.randn(1, tokens, config.hidden_size, dtype=torch.float64)
    modulation = torch.randn(1, 6, config.hidden_size, dtype=torch.float64)
    got = layer(x, cache.layers[0], modulation, context)[0].detach().numpy()

    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}

    def norm(value, gain):
        return value / np.sqrt((value**2).mean(-1, keepdims=True) + 1e-6) * gain

    def turn(value):
        cos, sin = np.cos(angles[0].numpy()), np.sin(angles[0].numpy())
        half = width // 2
        return value * cos + np.concatenate([-value[:, half:], value[:, :half]], -1) * sin

    m = p["adaln_table"] + modulation[0].numpy()
    hidden = x[0].numpy()
    entered = norm(hidden, p["input_layernorm.weight"]) * (1 + m[1]) + m[0]
    packed = entered @ p["attn.qkv_proj.weight"].T + p["attn.qkv_proj.bias"]
    packed = packed.reshape(tokens, 3, heads, width)
    mask = np.concatenate([np.ones((tokens, length), bool), expert_mask(tokens - 2, 1)], 1)
    attended = []
    for head in range(heads):
        q = turn(norm(packed[:, 0, head], p["attn.q_norm.weight"]))
        k = turn(norm(packed[:, 1, head], p["attn.k_norm.weight"]))
        k = np.concatenate([cache.layers[0][0][0, head].numpy(), k])
        v = np.concatenate([cache.layers[0][1][0, head].numpy(), packed[:, 2, head]])
        logits = np.where(mask, q @ k.T / np.sqrt(width), -np.inf)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        attended.append(weights / weights.sum(-1, keepdims=True) @ v)
    attended = np.concatenate(attended, -1) @ p["attn.o_proj.weight"].T
    hidden = norm(hidden + m[2] * attended, p["middle_layernorm.weight"])
    entered = norm(hidden, p["post_layernorm.weight"]) * (1 + m[4]) + m[3]
    gate = entered @ p["mlp.gate_proj.weight"].T
    wide = gate / (1 + np.exp(-gate)) * (entered @ p["mlp.up_proj.weight"].T)
    hidden = norm(hidden + m[5] * (wide @ p["mlp.down_proj.weight"].T), p["final_layernorm.weight"])
    np.testing.assert_allclose(got, hidden, atol=1e-5)


def test_rotation_keeps_lengths_and_depends_on_distance_only():
    x, y = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(3))

    def turned(value, position):
        angle = torch.tensor(position) * torch.tensor([[[1.0, 0.5, 0.2, 0.1] * 2]])
        return rotate(value, angle.cos(), angle.sin())

    torch.testing.assert_close(turned(x, 5.0).norm(), x.norm())
    near = (turned(x, 2.0) * turned(y, 1.0)).sum()
    far = (turned(x, 12.0) * turned(y, 11.0)).sum()
    torch.testing.assert_close(near, far, atol=1e-5, rtol=1e-5)


def test_prefix_rows_have_zero_velocity_and_padding_is_invisible():
    expert, cache = nano_expert(), random_cache()
    noisy = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(2))
    state, time = torch.zeros(2, 32), torch.tensor([0.3, 0.3])
    lengths = torch.tensor([3, 0])
    velocity = expert(noisy, time, state, cache, lengths)
    assert (velocity[0, :3] == 0).all() and (velocity[0, 3:] != 0).any()
    assert (velocity[1] != 0).any(-1).all()
    garbage = cache.stacked().clone()
    garbage[1, :, :, :, 6:] = 100.0
    other = VlmCache.from_stacked(garbage, cache.key_mask, cache.next_position)
    torch.testing.assert_close(expert(noisy, time, state, other, lengths), velocity)


def test_later_rows_never_reach_earlier_ones():
    expert, cache = nano_expert(action_window=1), random_cache()
    noisy = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(2))
    call = (torch.full((2,), 0.5), torch.zeros(2, 32), cache, torch.zeros(2, dtype=torch.long))
    before = expert(noisy, *call)
    noisy[:, 4] += 1.0
    after = expert(noisy, *call)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:])


def test_draws_of_one_frame_equal_single_rows():
    expert, cache = nano_expert(action_window=2, noisy_position_offset=10), random_cache()
    generator = torch.Generator().manual_seed(4)
    noisy = torch.randn(6, 6, 32, generator=generator)
    time = torch.rand(6, generator=generator)
    state = torch.randn(2, 32, generator=generator)
    lengths = torch.tensor([0, 2, 4, 1, 0, 3])
    together = expert(noisy, time, state, cache, lengths)
    for row in range(6):
        frame = row // 3
        single = VlmCache.from_stacked(
            cache.stacked()[frame : frame + 1],
            cache.key_mask[frame : frame + 1],
            cache.next_position[frame : frame + 1],
        )
        alone = expert(
            noisy[row : row + 1], time[row : row + 1], state[frame : frame + 1], single,
            lengths[row : row + 1],
        )  # fmt: skip
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)
