"""XR-0 inference written from the paper in plain eager PyTorch: the baseline of the benchmark.

The stock Qwen3-VL modules fill a key-value cache; every Euler step then embeds the flow time,
projects state and actions, and attends over the cache and its own tokens joined into one sequence.
It shares weights with the model it is compared with, and must give the same chunk.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from xr0_sim.model.action_expert.dit import Attention, Layer
from xr0_sim.model.action_expert.masks import CONTEXT_TOKENS, expert_positions
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.inputs import VlmInputs
from xr0_sim.model.vlm.stock import stock_forward

Entry = tuple[Tensor, Tensor]


@torch.no_grad()
def naive_encode(public: Any, inputs: VlmInputs, cached_layers: int) -> list[Entry]:
    """Keys and values (B, K, S, d) of the last VLM layers, by the stock forward.

    Args:
        public: The public class on the model's weights (`stock_vlm`).
        inputs: The batch.
        cached_layers: How many of the last layers count.
    """
    cache = stock_forward(public, inputs, use_cache=True).past_key_values
    layers = [(layer.keys, layer.values) for layer in cache.layers]
    return layers[len(layers) - cached_layers :]


@torch.no_grad()
def naive_denoise(
    model: XR0ForActionGeneration,
    entries: list[Entry],
    inputs: VlmInputs,
    state: Tensor,
    noise: Tensor,
) -> Tensor:
    """A chunk (B, T, 32) without a prefix, by plain Euler steps from the noise (B, T, 32)."""
    expert, steps = model.expert, model.config.num_euler_steps
    x = noise
    for step in range(steps):
        time = torch.full((len(x),), step / steps)
        modulation = expert.t_projector(expert.t_embedder(time)).view(len(x), 6, -1)
        tokens = torch.cat(
            [
                expert.sink.weight.expand(len(x), 1, -1),
                expert.state_projector(state)[:, None],
                expert.action_projector(x),
            ],
            dim=1,
        )
        none = torch.zeros(len(x), dtype=torch.long)
        first = inputs.position_ids.amax((0, 2)) + 1
        positions = expert_positions(first, none, noise.shape[1], expert.noisy_offset)
        angles = positions[..., None].float() * torch.tensor(expert.inverse_frequency)
        angles = torch.cat([angles, angles], dim=-1)[:, None]
        rotation = (angles.cos(), angles.sin())
        own = expert.own_mask().expand(len(x), -1, -1)
        known = inputs.key_mask()[:, None].expand(-1, own.shape[1], -1)
        mask = torch.cat([known, own], dim=-1)[:, None]
        for layer, entry in zip(expert.dit.layers, entries, strict=True):
            tokens = _layer(cast(Layer, layer), tokens, entry, modulation, rotation, mask)
        velocity = expert.action_output_layer(tokens[:, CONTEXT_TOKENS:])
        x = x + velocity * expert.action_valid / steps
    return x


def _layer(
    layer: Layer,
    x: Tensor,
    entry: Entry,
    modulation: Tensor,
    rotation: tuple[Tensor, Tensor],
    mask: Tensor,
) -> Tensor:
    rows = (layer.adaln_table + modulation)[:, :, None].unbind(1)
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = rows
    normed = layer.input_layernorm(x) * (1 + scale_a) + shift_a
    x = x + gate_a * _attention(layer.attn, normed, entry, rotation, mask)
    x = layer.middle_layernorm(x)
    normed = layer.post_layernorm(x) * (1 + scale_m) + shift_m
    x = x + gate_m * layer.mlp(normed)
    return layer.final_layernorm(x)


def _attention(
    attention: Attention,
    x: Tensor,
    entry: Entry,
    rotation: tuple[Tensor, Tensor],
    mask: Tensor,
) -> Tensor:
    rows, count, width = x.shape
    shape = (rows, count, attention.num_heads, attention.head_dim)
    query, key, value = (part.view(shape) for part in attention.qkv_proj(x).chunk(3, dim=-1))
    query = _rotate(attention.q_norm(query).transpose(1, 2), rotation)
    key = _rotate(attention.k_norm(key).transpose(1, 2), rotation)
    value = value.transpose(1, 2)
    group = attention.num_heads // entry[0].shape[1]
    key = torch.cat([entry[0].repeat_interleave(group, 1), key], dim=2)
    value = torch.cat([entry[1].repeat_interleave(group, 1), value], dim=2)
    logits = query @ key.transpose(-1, -2) / attention.head_dim**0.5
    weights = torch.softmax(logits.masked_fill(~mask, float("-inf")), dim=-1)
    return attention.o_proj((weights @ value).transpose(1, 2).reshape(rows, count, width))


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
