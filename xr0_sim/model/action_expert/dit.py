"""The action expert's transformer: adaLN layers with joint attention over the VLM's cache.

One layer, with ``m = table + t_projection`` split into six rows (shift, scale, gate for the
attention, then for the MLP):

```
    x = middle_norm( x + gate_a * attention( input_norm(x) * (1 + scale_a) + shift_a ) )
    x = final_norm ( x + gate_m * mlp      ( post_norm(x)  * (1 + scale_m) + shift_m ) )
```

Module names follow the released tensors (``layers.N.attn.qkv_proj`` ...). Source: XR-0 report and
the public inference modelling file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xr0_sim.model.spec.config import XR0DiTConfig
from xr0_sim.model.vlm.cache import VlmCache

MASKED = -1e9
MLP_RATIO = 4


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learned gain, computed in float32."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding in the half-split convention of the Qwen models; x (B, H, N, d)."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return (x * cos[:, None] + turned * sin[:, None]).to(x.dtype)


def joint_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cache_key: Tensor,
    cache_value: Tensor,
    cache_bias: Tensor,
    own_bias: Tensor,
) -> Tensor:
    """One softmax over the VLM's cached tokens and the expert's own tokens.

    Equal to attention over the concatenated sequence. The cache is never repeated: the R rows that
    share a frame (noise draws in training) and the query heads that share a cached head are folded
    into one long query instead.

    Args:
        query: (F * R, H, N, d) rotated.
        key: (F * R, H, N, d) rotated.
        value: (F * R, H, N, d).
        cache_key: (F, K, S, d) rotated by the VLM, H a multiple of K.
        cache_value: (F, K, S, d).
        cache_bias: (F, S) additive, 0 or `MASKED`.
        own_bias: (1 or F * R, N, N) additive.

    Returns:
        (F * R, H, N, d).
    """
    rows, heads, tokens, width = query.shape
    frames, kv_heads, length, _ = cache_key.shape
    repeat, group = rows // frames, heads // kv_heads
    folded = (frames, kv_heads, repeat, group, tokens)
    unfolded = (frames, repeat, kv_heads, group, tokens)

    long_query = query.reshape(*unfolded, width).permute(0, 2, 1, 3, 4, 5)
    long_query = long_query.reshape(frames * kv_heads, repeat * group * tokens, width)
    flat_key = cache_key.reshape(frames * kv_heads, length, width)
    flat_value = cache_value.reshape(frames * kv_heads, length, width)

    to_cache = torch.bmm(long_query, flat_key.transpose(1, 2)).view(*folded, length)
    to_own = torch.matmul(query, key.transpose(-1, -2)).view(*unfolded, tokens)
    to_own = to_own.permute(0, 2, 1, 3, 4, 5)

    scale = width**-0.5
    own_rows = frames if own_bias.shape[0] > 1 else 1
    own_repeat = repeat if own_bias.shape[0] > 1 else 1
    own_bias = own_bias.view(own_rows, 1, own_repeat, 1, tokens, tokens)
    logits = torch.cat(
        [
            to_cache.float() * scale + cache_bias.view(frames, 1, 1, 1, 1, length),
            to_own.float() * scale + own_bias,
        ],
        dim=-1,
    )
    weights = torch.softmax(logits, dim=-1).to(value.dtype)
    from_cache = torch.bmm(
        weights[..., :length].reshape(frames * kv_heads, repeat * group * tokens, length),
        flat_value,
    ).view(*folded, width)
    own_weights = weights[..., length:].permute(0, 2, 1, 3, 4, 5)
    from_own = torch.matmul(own_weights.reshape(rows, heads, tokens, tokens), value)
    return from_cache.permute(0, 2, 1, 3, 4, 5).reshape(rows, heads, tokens, width) + from_own


class Attention(nn.Module):
    """Joint attention with a fused biased projection and per-head RMS norms of q and k."""

    def __init__(self, config: XR0DiTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = width // config.head_dim
        self.head_dim = config.head_dim
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.q_norm = RMSNorm(config.head_dim)
        self.k_norm = RMSNorm(config.head_dim)

    def forward(self, x: Tensor, layer_cache: tuple[Tensor, Tensor], context: Context) -> Tensor:
        """(B, N, h) to (B, N, h)."""
        rows, tokens, width = x.shape
        packed = self.qkv_proj(x).view(rows, tokens, 3, self.num_heads, self.head_dim)
        query, key, value = packed.unbind(2)
        query = rotate(self.q_norm(query).transpose(1, 2), context.cos, context.sin)
        key = rotate(self.k_norm(key).transpose(1, 2), context.cos, context.sin)
        value = value.transpose(1, 2)
        cache_key, cache_value = (part.to(value.dtype) for part in layer_cache)
        if context.joint_bias is not None:
            key, value = torch.cat([cache_key, key], 2), torch.cat([cache_value, value], 2)
            seen = nn.functional.scaled_dot_product_attention(
                query, key, value, context.joint_bias.to(query.dtype)
            )
        else:
            seen = joint_attention(
                query, key, value, cache_key, cache_value, context.cache_bias, context.own_bias
            )
        return self.o_proj(seen.transpose(1, 2).reshape(rows, tokens, width))


class SwiGLU(nn.Module):
    """Gated MLP of width 4 h, no biases."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, MLP_RATIO * width, bias=False)
        self.up_proj = nn.Linear(width, MLP_RATIO * width, bias=False)
        self.down_proj = nn.Linear(MLP_RATIO * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., h) to (..., h)."""
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Context:
    """What every layer of one forward pass shares: rotations and additive masks.

    Args:
        cos: (B, N, d) of the rotary positions.
        sin: The same.
        cache: F frames.
        own_mask: (N, N) or (B, N, N) bool.
        joined: Attend over the joined sequence by the fused kernel, which is the faster one without
            a backward pass. Needs one row a frame and a cache with a head for every query head.
    """

    def __init__(
        self, cos: Tensor, sin: Tensor, cache: VlmCache, own_mask: Tensor, joined: bool = False
    ) -> None:
        self.cos = cos
        self.sin = sin
        self.cache_bias = additive(cache.key_mask)
        self.own_bias = additive(own_mask if own_mask.ndim == 3 else own_mask[None])
        self.joint_bias = None
        if joined:
            rows, tokens = cache.frames, own_mask.shape[-1]
            seen = self.cache_bias[:, None].expand(-1, tokens, -1)
            own = self.own_bias.expand(rows, -1, -1)
            self.joint_bias = torch.cat([seen, own], dim=-1)[:, None]


def additive(mask: Tensor) -> Tensor:
    """Bool visibility to an additive float mask."""
    return (~mask).to(torch.float32) * MASKED


class Layer(nn.Module):
    """One adaLN layer; see the module docstring for the formula."""

    def __init__(self, config: XR0DiTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attn = Attention(config)
        self.mlp = SwiGLU(width)
        self.input_layernorm = RMSNorm(width)
        self.middle_layernorm = RMSNorm(width)
        self.post_layernorm = RMSNorm(width)
        self.final_layernorm = RMSNorm(width)
        self.adaln_table = nn.Parameter(torch.randn(6, width) / width**0.5)

    def forward(
        self, x: Tensor, layer_cache: tuple[Tensor, Tensor], modulation: Tensor, context: Context
    ) -> Tensor:
        """(B, N, h) tokens under (B, 6, h) modulation to (B, N, h)."""
        rows = (self.adaln_table + modulation).unsqueeze(2).unbind(1)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = rows
        attended = self.attn(
            self.input_layernorm(x) * (1 + scale_a) + shift_a, layer_cache, context
        )
        x = self.middle_layernorm(x + gate_a * attended)
        widened = self.mlp(self.post_layernorm(x) * (1 + scale_m) + shift_m)
        return self.final_layernorm(x + gate_m * widened)


class DiT(nn.Module):
    """The stack; layer i reads entry i of the cache, which holds the VLM's last layers."""

    def __init__(self, config: XR0DiTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, cache: VlmCache, modulation: Tensor, context: Context) -> Tensor:
        """(F * R, N, h) tokens over a cache of F frames."""
        for layer, entry in zip(self.layers, cache.layers, strict=True):
            x = layer(x, entry, modulation, context)
        return x
