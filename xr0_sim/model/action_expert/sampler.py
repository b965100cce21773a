"""The Euler loop of inference, with everything that does not change taken out of it.

`xr0_sim.model.action_expert.flow.euler_sample` runs the training network step by step. At
inference the grid of flow times is fixed, so this module works out once per head

* the adaLN rows of every step and layer, scale folded into the gain of the norm before it, shift
  folded into the bias of the projection behind it;
* the gains of the query and key norms and the softmax scale, folded into the rotary tables;
* one matrix for the gate and up projections;

and once per chunk the positions, the mask and the VLM's keys and values, laid out with room for
the expert's own behind them. The result equals `euler_sample` to rounding (1e-5 in float32).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.dit import Layer, additive
from xr0_sim.model.action_expert.flow import flow_times, is_prefix
from xr0_sim.model.action_expert.masks import CONTEXT_TOKENS, expert_positions
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.compute.matmul import make_product
from xr0_sim.model.compute.precision import (
    DEFAULT_PRECISION,
    choose_precision,
    device_features,
    expert_weights,
)
from xr0_sim.model.vlm.cache import VlmCache

SHAPE_STEP = 16
"""A compiled sampler pads the VLM's tokens to a multiple of this, so that shapes recur."""
_FURTHER_LAYER = re.compile(r"\b(_layers|constants|tables|buffers)\[[1-9]")


class _Step(NamedTuple):
    """Constants of one layer at one Euler step; h is the width of the expert.

    Attributes:
        gain_a: (h,) gain of the norm before the attention.
        bias_a: (3 h,) bias of the fused query, key and value projection.
        gate_a: (h,) what the attention adds.
        gain_m: (h,) gain of the norm before the MLP.
        bias_m: (8 h,) bias of the fused gate and up projection.
        gate_m: (h,) what the MLP adds.
    """

    gain_a: Tensor
    bias_a: Tensor
    gate_a: Tensor
    gain_m: Tensor
    bias_m: Tensor
    gate_m: Tensor


class KeyValueBuffer(NamedTuple):
    """Keys and values of one layer, the VLM's first, then room for the expert's own.

    Attributes:
        keys: (B, H, S + N, d); every query head has its own row.
        values: As the keys.
    """

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype) -> KeyValueBuffer:
        """A buffer of a shape (B, H, S + N, d); what nothing fills, the masked padding, is zero."""
        return cls(*(like.new_zeros(shape, dtype=dtype) for _ in range(2)))

    def fill(self, entry: tuple[Tensor, Tensor]) -> None:
        """Lays one layer of a cache out in it; every cached head serves a group of query heads."""
        for buffer, part in zip(self, entry, strict=True):
            rows, kv_heads, length, _ = part.shape
            grouped = buffer.view(rows, kv_heads, -1, *buffer.shape[2:])
            grouped[:, :, :, :length] = part[:, :, None]


class _FastLayer:
    """Weights of one layer, transposed for ``x @ w``, and its constants per Euler step."""

    def __init__(self, layer: Layer, modulation: Tensor, precision: str) -> None:
        attention, mlp = layer.attn, layer.mlp
        self.heads, self.width = attention.num_heads, attention.head_dim
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        self.qkv = make_product(attention.qkv_proj.weight, precision)
        self.out = make_product(attention.o_proj.weight, precision)
        self.gate_up = make_product(gate_up, precision)
        self.down = make_product(mlp.down_proj.weight, precision)
        self.middle, self.final = layer.middle_layernorm.weight, layer.final_layernorm.weight
        self.eps = layer.input_layernorm.eps
        scaled = attention.q_norm.weight * self.width**-0.5
        gains = torch.stack([scaled, attention.k_norm.weight])
        self.gains = gains.repeat_interleave(self.heads, 0)[:, None]
        self.steps: list[_Step] = []
        for row in modulation:
            shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = layer.adaln_table + row
            self.steps.append(
                _Step(
                    layer.input_layernorm.weight * (1 + scale_a),
                    attention.qkv_proj.bias + attention.qkv_proj.weight @ shift_a,
                    gate_a,
                    layer.post_layernorm.weight * (1 + scale_m),
                    gate_up @ shift_m,
                    gate_m,
                )
            )

    def run(
        self,
        x: Tensor,
        now: _Step,
        tables: tuple[Tensor, Tensor],
        buffer: KeyValueBuffer,
        bias: Tensor,
    ) -> Tensor:
        """One layer on tokens (B, N, h)."""
        rows, tokens, wide = x.shape
        length = buffer.keys.shape[2] - tokens
        size = (wide,)
        normed = functional.rms_norm(x, size, now.gain_a, self.eps).view(-1, wide)
        packed = self.qkv(normed, now.bias_a)
        packed = packed.view(rows, tokens, 3 * self.heads, self.width).transpose(1, 2)
        turning, value = packed.split([2 * self.heads, self.heads], dim=1)
        unit = functional.rms_norm(turning, (self.width,), None, self.eps)
        cos, sin = tables
        half = self.width // 2
        swapped = torch.cat([unit[..., half:], unit[..., :half]], dim=-1)
        # The tables are float32; the query goes on in the number format of the weights.
        turned = torch.addcmul(unit * cos, swapped, sin).to(x.dtype)
        query, key = turned.split(self.heads, dim=1)
        buffer.keys[:, :, length:] = key
        buffer.values[:, :, length:] = value
        seen = _attend(query, buffer, bias)
        attended = self.out(seen.transpose(1, 2).reshape(-1, wide), None)
        x = torch.addcmul(x, now.gate_a, attended.view_as(x))
        x = functional.rms_norm(x, size, self.middle, self.eps)
        normed = functional.rms_norm(x, size, now.gain_m, self.eps).view(-1, wide)
        gate, up = self.gate_up(normed, now.bias_m).chunk(2, dim=-1)
        widened = self.down(functional.silu(gate) * up, None)
        x = torch.addcmul(x, now.gate_m, widened.view_as(x))
        return functional.rms_norm(x, size, self.final, self.eps)


def _attend(query: Tensor, buffer: KeyValueBuffer, bias: Tensor) -> Tensor:
    """Attention of queries (B, H, N, d) over a buffer.

    On a processor the fused kernel computes in float32 even for bfloat16; batched products do not,
    and once compiled they are faster in float32 as well.
    """
    batched = query.device.type == "cpu" and torch.compiler.is_compiling()
    if buffer.keys.dtype == query.dtype and not batched:
        return functional.scaled_dot_product_attention(
            query, buffer.keys, buffer.values, attn_mask=bias, scale=1.0
        )
    reduced = query.to(buffer.keys.dtype).flatten(0, 1)
    logits = torch.bmm(reduced, buffer.keys.flatten(0, 1).transpose(1, 2)).to(query.dtype)
    weights = torch.softmax(logits.view(*query.shape[:3], -1) + bias, dim=-1)
    weights = weights.to(buffer.values.dtype).flatten(0, 1)
    return torch.bmm(weights, buffer.values.flatten(0, 1)).view_as(query).to(query.dtype)


def _compiled(step: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The Euler step compiled.

    Before every call the compiler makes sure that nothing it relied on has changed, item by item.
    All layers are alike, so what holds of the first is not asked of the others.
    """

    def kept(guards: Sequence[Any]) -> list[bool]:
        return [not _FURTHER_LAYER.search(guard.name) for guard in guards]

    return torch.compile(step, dynamic=False, options={"guard_filter_fn": kept})


class FlowSampler:
    """`euler_sample` of one head, ready to run, one call at a time.

    Holds copies of the weights, so build it from final ones.

    Args:
        expert: The head.
        steps: Euler steps.
        compile: Compile the Euler step (needs a C++ compiler; the first chunk takes a while).
        precision: Number format of the large products, one of `precision.PRECISIONS`; weights
            that are stored in another format than float32 are used as they are.

    Attributes:
        precision: The format it runs in: ``float32``, ``bfloat16`` or ``int8``.
    """

    @torch.no_grad()
    def __init__(
        self,
        expert: ActionExpert,
        steps: int,
        compile: bool = False,
        precision: str = DEFAULT_PRECISION,
    ) -> None:
        dtype = expert.sink.weight.dtype
        if dtype != torch.float32:
            if precision not in ("auto", "float32"):
                raise ConfigError(f"precision: expected float32 weights to reduce, got {dtype}")
            precision = "float32"
        weights = expert_weights(len(expert.dit.layers), expert.sink.weight.shape[1])
        features = device_features(expert.device)
        self.precision = choose_precision(precision, weights, features)
        self._expert = expert
        self._steps = steps
        self._pad_to = SHAPE_STEP if compile else 1
        modulation = expert.modulation(flow_times(steps, expert.device))
        self._layers = [
            _FastLayer(cast(Layer, layer), modulation, self.precision)
            for layer in expert.dit.layers
        ]
        # Gains of both norms and the softmax scale, (layers, 1, 2 H, 1, d), for the rotary tables.
        self._gains = torch.stack([layer.gains for layer in self._layers])[:, None]
        low, high = self._gains.chunk(2, dim=-1)
        self._swapped = torch.cat([-high, low], dim=-1)
        self._buffers: list[KeyValueBuffer] = []
        self._size = (0, 0, 0)
        halved = self.precision != "float32" and features.bfloat16
        self._attention_dtype = torch.bfloat16 if halved else dtype
        self._visible = expert.own_mask()
        self._velocity = _compiled(self._plain) if compile else self._plain

    @torch.no_grad()
    def __call__(
        self,
        cache: VlmCache,
        state: Tensor,
        prefix: Tensor,
        prefix_lengths: Tensor,
        noise: Tensor,
        action_mask: Tensor | None = None,
        room: Sequence[KeyValueBuffer] | None = None,
    ) -> Tensor:
        """See `xr0_sim.model.action_expert.flow.euler_sample`.

        Args:
            cache: B frames.
            state: (B, 32) normalised.
            prefix: (B, T, 32) normalised.
            prefix_lengths: (B,) long.
            noise: (B, T, 32).
            action_mask: Mask of a robot type; the layout's when None.
            room: From `room`, for callers that want the same memory in every call; the sampler's
                own when None.
        """
        expert = self._expert
        length = noise.shape[1]
        tokens = CONTEXT_TOKENS + length
        dtype = expert.sink.weight.dtype
        valid = expert.action_valid if action_mask is None else action_mask
        clean = is_prefix(prefix_lengths, length)
        moving = (~clean * valid).float() / self._steps

        positions = expert_positions(
            cache.next_position, prefix_lengths, length, expert.noisy_offset
        )
        angles = positions[:, None, :, None].float() * expert.frequencies
        angles = torch.cat([angles, angles], dim=-1)
        cos = angles.cos() * self._gains
        sin = angles.sin() * self._swapped
        tables = list(zip(cos.unbind(), sin.unbind(), strict=True))
        padding = -cache.key_mask.shape[1] % self._pad_to
        buffers = self._fill_cache(cache, padding + tokens, room)
        known = functional.pad(cache.key_mask, (0, padding))
        own = self._visible.expand(cache.frames, -1, -1)
        seen = torch.cat([known[:, None].expand(-1, tokens, -1), own], dim=-1)
        bias = additive(seen)[:, None].to(dtype)

        sink = expert.sink.weight.expand(len(noise), 1, -1)
        context = torch.cat([sink, expert.state_projector(state.to(dtype))[:, None]], dim=1)
        x = torch.where(clean, prefix, noise)
        for step in range(self._steps):
            given = x if action_mask is None else x * valid
            constants = [layer.steps[step] for layer in self._layers]
            velocity = self._velocity(given, context, constants, tables, buffers, bias)
            x = torch.addcmul(x, moving, velocity)
        return x

    def room(self, frames: int, length: int, rows: int) -> list[KeyValueBuffer]:
        """Memory for the keys and values of every layer.

        Args:
            frames: B.
            length: S, tokens of the VLM.
            rows: T, rows of a chunk.
        """
        more = -length % self._pad_to + CONTEXT_TOKENS + rows
        return self._empty(frames, length + more)

    def _empty(self, frames: int, length: int) -> list[KeyValueBuffer]:
        first, like = self._layers[0], self._expert.sink.weight
        shape = (frames, first.heads, length, first.width)
        return [KeyValueBuffer.empty(shape, like, self._attention_dtype) for _ in self._layers]

    def _fill_cache(
        self, cache: VlmCache, more: int, room: Sequence[KeyValueBuffer] | None
    ) -> list[KeyValueBuffer]:
        """The VLM's keys and values with room for more tokens behind.

        Buffers are kept from chunk to chunk: a fresh one costs more in page faults than in copying.
        """
        length = cache.key_mask.shape[1]
        if room is None:
            size = (cache.frames, length, length + more)
            if self._size != size:
                self._buffers, self._size = self._empty(cache.frames, length + more), size
            room = self._buffers
        for buffer, entry in zip(room, cache.layers, strict=True):
            buffer.fill(entry)
        return list(room)

    def _plain(
        self,
        given: Tensor,
        context: Tensor,
        constants: list[_Step],
        tables: list[tuple[Tensor, Tensor]],
        buffers: list[KeyValueBuffer],
        bias: Tensor,
    ) -> Tensor:
        """Velocities (B, T, 32), not yet masked, from action rows (B, T, 32)."""
        expert = self._expert
        projected = expert.action_projector(given.to(context.dtype))
        hidden = torch.cat([context, projected], dim=1)
        for layer, now, table, buffer in zip(self._layers, constants, tables, buffers, strict=True):
            hidden = layer.run(hidden, now, table, buffer, bias)
        return expert.action_output_layer(hidden[:, CONTEXT_TOKENS:]).float()
