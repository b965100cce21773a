"""A batched forward pass over the stock Qwen3-VL modules.

The stock forward walks over images and prompts one by one (attention per image, position ids per
row). Here the same modules are called once for all images of a size, and every prompt has one
shape, in a graph without data-dependent control flow. A test holds this pass equal to the stock
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from xr0_sim.model.action_expert.dit import additive, rotate
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.inputs import VlmInputs

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration


def encode_images(
    vlm: Qwen3VLForConditionalGeneration, patches: Tensor, image_grid: tuple[int, int]
) -> tuple[Tensor, list[Tensor]]:
    """Runs the vision tower.

    Args:
        vlm: The stock model.
        patches: (N, P, patch values).
        image_grid: Height and width in patches.

    Returns:
        Visual tokens (N * P / 4, hidden) and the deepstack features, each of that shape.
    """
    visual = vlm.model.visual
    rows, count, _ = patches.shape
    position, cos, sin = _vision_tables(vlm, image_grid)
    kernel = visual.patch_embed.proj.weight
    x = functional.linear(patches.to(kernel.dtype), kernel.flatten(1), visual.patch_embed.proj.bias)
    x = x + position.to(kernel.dtype)
    deepstack = []
    for index, block in enumerate(visual.blocks):
        attention = block.attn
        packed = attention.qkv(block.norm1(x)).view(rows, count, 3, attention.num_heads, -1)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        seen = attend(rotate(query, cos, sin), rotate(key, cos, sin), value, None)
        x = x + attention.proj(seen.transpose(1, 2).reshape(rows, count, -1))
        x = x + block.mlp(block.norm2(x))
        if index in visual.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[visual.deepstack_visual_indexes.index(index)]
            deepstack.append(merger(x.flatten(0, 1)))
    return visual.merger(x.flatten(0, 1)), deepstack


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Plain attention with grouped query heads; bias is additive, (N, N).

    At a hundred tokens the explicit softmax trains about twice as fast on a CPU as the fused
    kernel, whose backward pass dominates there.

    Args:
        query: (B, H, N, d).
        key: (B, K, N, d), H a multiple of K.
        value: (B, K, N, d).
        bias: (N, N) or None.
    """
    rows, heads, tokens, width = query.shape
    kv_heads = key.shape[1]
    folded = query.reshape(rows * kv_heads, (heads // kv_heads) * tokens, width)
    logits = torch.bmm(folded, key.reshape(rows * kv_heads, tokens, width).transpose(1, 2))
    logits = logits.view(rows, heads, tokens, tokens).float() * width**-0.5
    weights = torch.softmax(logits if bias is None else logits + bias, dim=-1).to(value.dtype)
    weights = weights.view(rows * kv_heads, (heads // kv_heads) * tokens, tokens)
    seen = torch.bmm(weights, value.reshape(rows * kv_heads, tokens, width))
    return seen.view(rows, heads, tokens, width)


def _vision_tables(
    vlm: Qwen3VLForConditionalGeneration, image_grid: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Learned positions (P, hidden) and rotary tables (1, P, d) of one image."""
    from transformers.vision_utils import (
        get_vision_interpolation_indices_and_weights,
        get_vision_position_ids,
    )

    visual = vlm.model.visual
    grid = torch.tensor([[1, *image_grid]])
    merge = visual.config.spatial_merge_size
    taps, weights = get_vision_interpolation_indices_and_weights(
        grid,
        num_grid_per_side=visual.num_grid_per_side,
        mode=visual.interpolation_mode,
        align_corners=visual.interpolation_align_corners,
        spatial_merge_size=merge,
    )
    device = visual.pos_embed.weight.device
    position = (visual.pos_embed(taps.to(device)) * weights.to(device)[:, :, None]).sum(1)
    places = get_vision_position_ids(grid, merge).to(device)
    cos, sin = visual.rotary_pos_emb(position, places)
    return position, cos[None], sin[None]


def forward(
    vlm: Qwen3VLForConditionalGeneration, inputs: VlmInputs, cached_layers: int
) -> tuple[tuple[Tensor, ...], VlmCache]:
    """Runs the VLM once, up to the keys and values of its last layer; nothing reads the rest.

    Padding stands on the right and attention is causal, so no real token ever sees it.

    Args:
        vlm: The stock model.
        inputs: The batch.
        cached_layers: How many of the last layers go into the cache.

    Returns:
        Hidden states (F, S, hidden) before every layer, and the cache.
    """
    text = vlm.model.language_model
    deepstack: list[tuple[Tensor, list[Tensor]]] = []
    frames, length = inputs.input_ids.shape
    x = text.embed_tokens(inputs.input_ids).flatten(0, 1)
    for group in inputs.pictures:
        if len(group.patches):
            visual, features = encode_images(vlm, group.patches, group.grid)
            x = x.index_copy(0, group.index, visual.to(x.dtype))
            deepstack.append((group.index, features))
    x = x.view(frames, length, -1)
    cos, sin = text.rotary_emb(x, inputs.position_ids)
    layers: list[tuple[Tensor, Tensor]] = []
    before: list[Tensor] = []
    causal = _causal(length, x.device)
    for index, layer in enumerate(text.layers):
        before.append(x)
        normed = layer.input_layernorm(x)
        key, value = _keys_values(layer, normed, cos, sin)
        layers.append((key, value))
        if index + 1 == len(text.layers):
            break
        x = _transform(layer, x, normed, key, value, cos, sin, causal)
        for places, features in deepstack:
            if index < len(features):
                flat = x.flatten(0, 1)
                flat = flat.index_add(0, places, features[index].to(flat.dtype))
                x = flat.view(frames, length, -1)
    cache = VlmCache(
        tuple(layers[len(layers) - cached_layers :]),
        inputs.key_mask(),
        inputs.position_ids.amax((0, 2)) + 1,
    )
    return tuple(before), cache


def final_hidden(
    vlm: Qwen3VLForConditionalGeneration, before_last: Tensor, inputs: VlmInputs
) -> Tensor:
    """Runs the last layer, which `forward` leaves out, for those who want words.

    Args:
        vlm: The stock model.
        before_last: (F, S, hidden) hidden states before the last layer, from `forward`.
        inputs: The batch.

    Returns:
        Normalised hidden states (F, S, hidden); the language head turns them into logits.
    """
    text = vlm.model.language_model
    layer, length = text.layers[-1], inputs.input_ids.shape[1]
    cos, sin = text.rotary_emb(before_last, inputs.position_ids)
    normed = layer.input_layernorm(before_last)
    key, value = _keys_values(layer, normed, cos, sin)
    causal = _causal(length, before_last.device)
    return text.norm(_transform(layer, before_last, normed, key, value, cos, sin, causal))


def _causal(length: int, device: torch.device) -> Tensor:
    """(S, S) additive mask: every token sees itself and those before it."""
    return additive(torch.ones(length, length, dtype=torch.bool, device=device).tril())


def _keys_values(layer: Any, normed: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Rotated keys and values (F, K, S, d) of a layer, from its normalised input."""
    attention = layer.self_attn
    heads = (*normed.shape[:2], -1, attention.head_dim)
    key = attention.k_norm(attention.k_proj(normed).view(heads)).transpose(1, 2)
    value = attention.v_proj(normed).view(heads).transpose(1, 2)
    return rotate(key, cos, sin).to(value.dtype), value


def _transform(
    layer: Any,
    x: Tensor,
    normed: Tensor,
    key: Tensor,
    value: Tensor,
    cos: Tensor,
    sin: Tensor,
    causal: Tensor,
) -> Tensor:
    """Output (F, S, hidden) of a layer whose keys and values are known."""
    attention = layer.self_attn
    frames, length, _ = normed.shape
    heads = (frames, length, -1, attention.head_dim)
    query = attention.q_norm(attention.q_proj(normed).view(heads)).transpose(1, 2)
    seen = attend(rotate(query, cos, sin).to(value.dtype), key, value, causal)
    x = x + attention.o_proj(seen.transpose(1, 2).reshape(frames, length, -1))
    return x + layer.mlp(layer.post_attention_layernorm(x))
