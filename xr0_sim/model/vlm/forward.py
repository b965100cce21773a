"""A batched forward pass over the modules of Qwen3-VL.

The public forward walks over images and prompts one by one (attention per image, position ids per
row). Here the modules are called once for all images of a size, and every prompt has one shape, in
a graph without data-dependent control flow and without tables of its own (`tables`). A test holds
this pass equal to the public one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from xr0_sim.model.action_expert.dit import rotate
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.inputs import VlmInputs
from xr0_sim.model.vlm.tables import BrainTables, VisionTables, brain_tables

if TYPE_CHECKING:
    from xr0_sim.model.vlm.qwen import Qwen3VL


def encode_images(
    vlm: Qwen3VL,
    patches: Tensor,
    tables: VisionTables,
    fused: bool = False,
    compiled: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Runs the vision tower.

    Args:
        vlm: The model.
        patches: (N, P, patch values).
        tables: Of pictures of this size.
        fused: Attend by the fused kernel.
        compiled: Run the blocks compiled.

    Returns:
        Visual tokens (N * P / 4, hidden) and the deepstack features, each of that shape.
    """
    visual = vlm.model.visual
    position = (visual.pos_embed(tables.taps) * tables.weights[:, :, None]).sum(1)
    run, merge = (_compiled(_block), _compiled(_merge)) if compiled else (_block, _merge)
    kernel = visual.patch_embed.proj.weight
    x = functional.linear(patches.to(kernel.dtype), kernel.flatten(1), visual.patch_embed.proj.bias)
    x = x + position.to(kernel.dtype)
    deepstack = []
    for index, block in enumerate(visual.blocks):
        x = run(block, x, tables.cos, tables.sin, fused)
        if index in visual.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[visual.deepstack_visual_indexes.index(index)]
            deepstack.append(merge(merger, x))
    return merge(visual.merger, x), deepstack


def _block(block: Any, x: Tensor, cos: Tensor, sin: Tensor, fused: bool) -> Tensor:
    """One block of the vision tower on tokens (N, P, hidden)."""
    rows, count, _ = x.shape
    attention = block.attn
    packed = attention.qkv(block.norm1(x)).view(rows, count, 3, attention.num_heads, -1)
    query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
    query, key = rotate(query, cos, sin), rotate(key, cos, sin)
    seen = _fused(query, key, value, False) if fused else attend(query, key, value, None)
    x = x + attention.proj(seen.transpose(1, 2).reshape(rows, count, -1))
    return x + block.mlp(block.norm2(x))


def _merge(merger: Any, x: Tensor) -> Tensor:
    """Visual tokens of patches (N, P, hidden)."""
    merged: Tensor = merger(x.flatten(0, 1))
    return merged


@lru_cache
def _compiled(part: Callable[..., Any]) -> Callable[..., Any]:
    """A part of the pass compiled: all modules of a kind are alike, so one serves them all."""
    return torch.compile(part, dynamic=False)


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


def _fused(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """`attend` by torch's fused kernel; the mask of causal attention is no table there."""
    return functional.scaled_dot_product_attention(
        query, key, value, is_causal=causal, enable_gqa=query.shape[1] != key.shape[1]
    )


def fuses(device: torch.device) -> bool:
    """Whether attention is the fused one: without a backward pass, on a graphics card.

    On a processor the explicit one is what every shipped policy was measured with.
    """
    return device.type == "cuda" and not torch.is_grad_enabled()


def forward(
    vlm: Qwen3VL, inputs: VlmInputs, cached_layers: int
) -> tuple[tuple[Tensor, ...], VlmCache]:
    """Runs the VLM once, up to the keys and values of its last layer; nothing reads the rest.

    Padding stands on the right and attention is causal, so no real token ever sees it.

    Args:
        vlm: The model.
        inputs: The batch.
        cached_layers: How many of the last layers go into the cache.

    Returns:
        Hidden states (F, S, hidden) before every layer, and the cache.
    """
    before: list[Tensor] = []
    cache = encode(vlm, inputs, cached_layers, before=before)
    return tuple(before), cache


def encode(
    vlm: Qwen3VL,
    inputs: VlmInputs,
    cached_layers: int,
    tables: BrainTables | None = None,
    before: list[Tensor] | None = None,
    compiled: bool = False,
) -> VlmCache:
    """The cache of `forward` alone.

    Args:
        vlm: The model.
        inputs: The batch.
        cached_layers: How many of the last layers go into the cache.
        tables: What follows from the batch's sizes; kept ones when None. Those without a causal
            mask ask for the fused attention.
        before: Takes the hidden states before every layer; None keeps none of them.
        compiled: Run blocks and layers compiled, one for all of a kind; needs a C++ compiler.
    """
    text = vlm.model.language_model
    deepstack: list[tuple[Tensor, list[Tensor]]] = []
    frames, length = inputs.input_ids.shape
    if tables is None:
        grids = [group.grid for group in inputs.pictures]
        tables = brain_tables(vlm, length, grids, fuses(vlm.device))
    x = text.embed_tokens(inputs.input_ids).flatten(0, 1)
    for group, own in zip(inputs.pictures, tables.vision, strict=True):
        if len(group.patches):
            fused = tables.causal is None
            visual, features = encode_images(vlm, group.patches, own, fused, compiled)
            x = x.index_copy(0, group.index, visual.to(x.dtype))
            deepstack.append((group.index, features))
    x = x.view(frames, length, -1)
    cos, sin = _turns(inputs, tables, x.dtype)
    layers: list[tuple[Tensor, Tensor]] = []
    for index, layer in enumerate(text.layers):
        if before is not None:
            before.append(x)
        last = index + 1 == len(text.layers)
        run = _compiled(_layer) if compiled and not last else _layer
        key, value, x = run(layer, x, cos, sin, tables.causal, last)
        if index + cached_layers >= len(text.layers):
            layers.append((key, value))
        if last:
            break
        for places, features in deepstack:
            if index < len(features):
                flat = x.flatten(0, 1)
                flat = flat.index_add(0, places, features[index].to(flat.dtype))
                x = flat.view(frames, length, -1)
    return VlmCache(
        tuple(layers),
        tables.index < inputs.lengths[:, None],
        inputs.position_ids.amax((0, 2)) + 1,
    )


def _turns(inputs: VlmInputs, tables: BrainTables, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rotary tables (F, S, d) of the prompts' positions."""
    places = inputs.position_ids.index_select(0, tables.axes).permute(1, 2, 0).float()
    angles = places * tables.frequencies
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return torch.cat([cos, cos], dim=-1), torch.cat([sin, sin], dim=-1)


def final_hidden(vlm: Qwen3VL, before_last: Tensor, inputs: VlmInputs) -> Tensor:
    """Runs the last layer, which `forward` leaves out, for those who want words.

    Args:
        vlm: The model.
        before_last: (F, S, hidden) hidden states before the last layer, from `forward`.
        inputs: The batch.

    Returns:
        Normalised hidden states (F, S, hidden); the language head turns them into logits.
    """
    text = vlm.model.language_model
    layer: Any = text.layers[-1]
    length = inputs.input_ids.shape[1]
    tables = brain_tables(vlm, length, (), fuses(vlm.device))
    cos, sin = _turns(inputs, tables, before_last.dtype)
    normed = layer.input_layernorm(before_last)
    key, value = _keys_values(layer, normed, cos, sin)
    last = _transform(layer, before_last, normed, key, value, cos, sin, tables.causal)
    normalised: Tensor = text.norm(last)
    return normalised


def _layer(
    layer: Any, x: Tensor, cos: Tensor, sin: Tensor, causal: Tensor | None, last: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and output of a layer on tokens (F, S, hidden); the last has no output."""
    normed = layer.input_layernorm(x)
    key, value = _keys_values(layer, normed, cos, sin)
    if last:
        return key, value, x
    return key, value, _transform(layer, x, normed, key, value, cos, sin, causal)


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
    causal: Tensor | None,
) -> Tensor:
    """Output (F, S, hidden) of a layer whose keys and values are known; fused without a mask."""
    attention = layer.self_attn
    frames, length, _ = normed.shape
    heads = (frames, length, -1, attention.head_dim)
    query = attention.q_norm(attention.q_proj(normed).view(heads)).transpose(1, 2)
    query = rotate(query, cos, sin).to(value.dtype)
    if causal is None:
        seen = _fused(query, key, value, True)
    else:
        seen = attend(query, key, value, causal)
    x = x + attention.o_proj(seen.transpose(1, 2).reshape(frames, length, -1))
    return x + layer.mlp(layer.post_attention_layernorm(x))
