"""Arithmetic of one inference, from sizes alone: a multiply-add counts two.

What is counted are matrix products and attention, padding and masked pairs included, as
`torch.utils.flop_counter` counts them; norms, softmax and rotary tables are left out. The cost of a
flow time's embedding is not there either: the sampler works it out once per head.
"""

from __future__ import annotations

from collections.abc import Sequence

from xr0_sim.model.spec.config import XR0Config

CONTEXT_TOKENS = 2
"""Sink and state, beside the rows of a chunk."""
MLP_RATIO = 4
"""Width of the expert's gated MLP over its own."""


def encode_flops(config: XR0Config, tokens: int, grids: Sequence[tuple[int, int]]) -> float:
    """The VLM once, up to the keys and values of its last layer.

    Args:
        config: The policy's configuration.
        tokens: Length S of the prompt, visual tokens included.
        grids: Height and width of every picture in patches.
    """
    text = config.vlm_config.text_config
    width, wide = text.hidden_size, text.num_attention_heads * text.head_dim
    keys_values = 2 * tokens * width * 2 * text.num_key_value_heads * text.head_dim
    products = 2 * tokens * (2 * width * wide + 3 * width * text.intermediate_size)
    whole = products + 4 * tokens**2 * wide
    layers = text.num_hidden_layers
    # Nothing reads the last layer beyond its keys and values.
    told = layers * keys_values + (layers - 1) * whole
    return float(told + sum(_picture_flops(config, rows * columns) for rows, columns in grids))


def _picture_flops(config: XR0Config, patches: int) -> int:
    """The vision tower on one picture."""
    vision = config.vlm_config.vision_config
    width, merged = vision.hidden_size, vision.spatial_merge_size**2
    values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    block = 2 * patches * (4 * width**2 + 2 * width * vision.intermediate_size)
    block += 4 * patches**2 * width
    joined = merged * width
    merger = 2 * (patches // merged) * (joined**2 + joined * vision.out_hidden_size)
    mergers = 1 + sum(index < vision.depth for index in vision.deepstack_visual_indexes)
    return 2 * patches * values * width + vision.depth * block + mergers * merger


def denoise_flops(config: XR0Config, tokens: int, guided: bool = False) -> float:
    """The action expert's Euler loop for one chunk.

    Args:
        config: The policy's configuration.
        tokens: Cached tokens S of the VLM.
        guided: Whether every step also differentiates the velocity by its input.
    """
    dit = config.dit_config
    width, rows = dit.hidden_size, config.action_length
    own = CONTEXT_TOKENS + rows
    layer = 2 * own * (3 + 1 + 3 * MLP_RATIO) * width**2
    attention = 4 * own * (tokens + own) * width
    rest = 2 * rows * (2 * config.action_dim * width + width**2 + config.action_dim**2)
    step = dit.num_hidden_layers * (layer + attention) + rest
    if guided:
        # Backwards every product again, once; in the attention once for the cached half, whose
        # keys and values need no gradient, and twice for the expert's own.
        back = 4 * own * (tokens + 2 * own) * width
        step += dit.num_hidden_layers * (layer + back) + rest
    state = 2 * (config.state_dim * width + width**2)
    return float(config.num_euler_steps * step + state)
