"""The action expert as the report describes it, in float64 NumPy and plain loops.

Written from the description alone, token by token and head by head, with the released rule for
masks (the network's *input* is masked, nothing else). Slow on purpose: it shares no code and no
trick with the torch model it checks.
"""

from __future__ import annotations

import numpy as np


def lambda_mask(actions, window=None):
    """Row sees column, over [sink, state, a_0 ..]; window None is plain causal."""
    size = 2 + actions
    seen = np.zeros((size, size), bool)
    for row in range(size):
        for column in range(row + 1):
            context = column < 2
            near = window is None or row - column <= window
            seen[row, column] = context or near
    return seen


def positions(first, actions, prefix=0, offset=0):
    """Positions after the VLM's last one, ``first`` = largest id + 1."""
    return np.array([first + i + (offset if i >= 2 + prefix else 0) for i in range(2 + actions)])


def rms_norm(x, gain):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6) * gain


def rotated(x, position, theta):
    """One head vector, half-split pairs (i, i + d/2)."""
    half = len(x) // 2
    out = np.empty_like(x)
    for i in range(half):
        angle = position * theta ** (-2.0 * i / len(x))
        out[i] = x[i] * np.cos(angle) - x[i + half] * np.sin(angle)
        out[i + half] = x[i + half] * np.cos(angle) + x[i] * np.sin(angle)
    return out


def softmax(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def silu(x):
    return x / (1.0 + np.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


def layer(w, x, modulation, cache_key, cache_value, mask, place, head_dim, theta):
    """One DiT layer.

    Args:
        w: Its tensors by name.
        x: (N, h) tokens.
        modulation: (6, h) shift, scale, gate for attention, then for the MLP.
        cache_key: (K, S, d), cache_value the same.
        mask: (N, N) bool among the own tokens; the cache is seen by all.
        place: (N,) positions.
    """
    tokens, width = x.shape
    heads, kv_heads = width // head_dim, len(cache_key)
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = w["adaln_table"] + modulation
    entered = rms_norm(x, w["input_layernorm.weight"]) * (1 + scale_a) + shift_a
    packed = entered @ w["attn.qkv_proj.weight"].T + w["attn.qkv_proj.bias"]
    query, key, value = np.split(packed, 3, axis=1)
    attended = np.zeros((tokens, width))
    for head in range(heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        q = rms_norm(query[:, part], w["attn.q_norm.weight"])
        k = rms_norm(key[:, part], w["attn.k_norm.weight"])
        q = np.stack([rotated(q[n], place[n], theta) for n in range(tokens)])
        k = np.stack([rotated(k[n], place[n], theta) for n in range(tokens)])
        shared = head // (heads // kv_heads)
        for n in range(tokens):
            own = np.flatnonzero(mask[n])
            keys = np.concatenate([cache_key[shared], k[own]])
            values = np.concatenate([cache_value[shared], value[own, part]])
            attended[n, part] = softmax(keys @ q[n] / np.sqrt(head_dim)) @ values
    attended = attended @ w["attn.o_proj.weight"].T
    x = rms_norm(x + gate_a * attended, w["middle_layernorm.weight"])
    entered = rms_norm(x, w["post_layernorm.weight"]) * (1 + scale_m) + shift_m
    inner = silu(entered @ w["mlp.gate_proj.weight"].T) * (entered @ w["mlp.up_proj.weight"].T)
    return rms_norm(x + gate_m * (inner @ w["mlp.down_proj.weight"].T), w["final_layernorm.weight"])


def below(tensors, prefix):
    """Tensors under a prefix, by the rest of their name."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def project(w, x):
    return gelu_tanh(x @ w["layers.0.weight"].T) @ w["layers.2.weight"].T


def time_embedding(w, time):
    frequencies = 10_000.0 ** (-np.arange(128) / 128.0)
    angles = 1000.0 * time * frequencies
    waves = np.concatenate([np.cos(angles), np.sin(angles)])
    return silu(waves @ w["mlp.0.weight"].T) @ w["mlp.2.weight"].T


def velocity(w, actions, time, state, cache, place, mask, action_mask, head_dim, theta):
    """(T, 32) field; ``cache`` holds per layer (K, S, d) keys and values."""
    width = w["sink.weight"].shape[1]
    embedded = time_embedding(below(w, "t_embedder."), time)
    modulation = embedded @ w["t_projector.layers.0.weight"].T + w["t_projector.layers.0.bias"]
    x = np.concatenate(
        [
            w["sink.weight"],
            project(below(w, "state_projector."), state)[None],
            project(below(w, "action_projector."), actions * action_mask),
        ]
    )
    for index, (key, value) in enumerate(cache):
        part = below(w, f"dit.layers.{index}.")
        x = layer(part, x, modulation.reshape(6, width), key, value, mask, place, head_dim, theta)
    return project(below(w, "action_output_layer."), x[2:])


def euler(w, noise, prefix, steps, **call):
    """Chunk from noise at t = 0; prefix rows stay."""
    x = np.concatenate([prefix, noise[len(prefix) :]])
    for step in range(steps):
        v = velocity(w, x, step / steps, **call)
        v[: len(prefix)] = 0.0
        x = x + v / steps
    return x
