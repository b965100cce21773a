"""Named sizes of XR-0, from one for tests to the published one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import unknown_name
from xr0_sim.model.spec.config import XR0Config, XR0DiTConfig
from xr0_sim.model.spec.qwen_sizes import QWEN3_VL_2B, QWEN3_VL_4B
from xr0_sim.model.spec.special_tokens import SPECIAL_TOKENS, VOCABULARY_SIZE


@dataclass(frozen=True)
class PresetSizes:
    """Free sizes of a preset; everything else follows from the reference.

    Attributes:
        image_size: Side of the camera images [px].
        patch_size: Vision patch [px]; two by two patches become one visual token.
        vision_hidden: Width of the vision tower.
        vision_depth: Its blocks.
        vision_heads: Its attention heads.
        text_hidden: Width of the language model.
        text_mlp: Width of its SwiGLU.
        text_layers: Its layers.
        text_heads: Its query heads.
        kv_heads: Key/value heads of VLM and expert.
        head_dim: Width of one head.
        dit_hidden: Width of the action expert.
        dit_layers: Its layers.
    """

    image_size: int
    patch_size: int
    vision_hidden: int
    vision_depth: int
    vision_heads: int
    text_hidden: int
    text_mlp: int
    text_layers: int
    text_heads: int
    kv_heads: int
    head_dim: int
    dit_hidden: int
    dit_layers: int


PRESETS: dict[str, PresetSizes] = {
    # Trains in seconds; for tests only.
    "nano": PresetSizes(64, 16, 32, 2, 2, 32, 64, 2, 2, 2, 16, 32, 2),
    # Laptop CPU: three 128 x 128 cameras, 48 visual tokens.
    "tiny": PresetSizes(128, 16, 128, 3, 4, 128, 384, 5, 4, 2, 32, 128, 4),
    # One GPU: three 224 x 224 cameras, 147 visual tokens, action expert 12 x 512.
    "small": PresetSizes(224, 16, 384, 8, 6, 512, 1536, 14, 8, 4, 64, 512, 12),
}

PUBLIC_BRAINS: dict[str, dict[str, Any]] = {"base": QWEN3_VL_2B, "xr0": QWEN3_VL_4B}
"""Presets on a published VLM; they want its tokenizer and a GPU."""

PUBLIC_IMAGE_SIZE = 288
"""Largest square of whole visual tokens within the 90,000 pixels of XR-0's processor [px]."""

PRESET_NAMES = (*PRESETS, *PUBLIC_BRAINS)

VISION_ROPE_THETA = 100.0
TEXT_ROPE_THETA = 10_000.0
MERGE_SIZE = 2


def preset_config(name: str, **overrides: object) -> XR0Config:
    """Builds the configuration of a named preset.

    Args:
        name: One of `PRESET_NAMES`.
        **overrides: Fields of `XR0Config` to replace, e.g. ``action_length=10``.
    """
    if name in PRESETS:
        return config_from_sizes(PRESETS[name], preset=name, **overrides)
    if name not in PUBLIC_BRAINS:
        raise unknown_name("model preset", name, PRESET_NAMES)
    fields: dict[str, Any] = {"image_size": PUBLIC_IMAGE_SIZE, "preset": name, **overrides}
    return XR0Config(vlm_config=PUBLIC_BRAINS[name], dit_config=XR0DiTConfig(), **fields)


def config_from_sizes(sizes: PresetSizes, **overrides: object) -> XR0Config:
    """Builds a configuration from sizes; the rest follows the reference."""
    grid = sizes.image_size // sizes.patch_size
    third = sizes.head_dim // 2 // 3
    ids = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    vlm = {
        "text_config": {
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": sizes.text_hidden,
            "intermediate_size": sizes.text_mlp,
            "num_hidden_layers": sizes.text_layers,
            "num_attention_heads": sizes.text_heads,
            "num_key_value_heads": sizes.kv_heads,
            "head_dim": sizes.head_dim,
            "max_position_embeddings": 1024,
            "pad_token_id": ids["<|endoftext|>"],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": TEXT_ROPE_THETA,
                "mrope_section": [sizes.head_dim // 2 - 2 * third, third, third],
                "mrope_interleaved": True,
            },
        },
        "vision_config": {
            "depth": sizes.vision_depth,
            "hidden_size": sizes.vision_hidden,
            "intermediate_size": 4 * sizes.vision_hidden,
            "num_heads": sizes.vision_heads,
            "patch_size": sizes.patch_size,
            "spatial_merge_size": MERGE_SIZE,
            # The duplicated frame of a still image carries nothing; 2 in Qwen3-VL.
            "temporal_patch_size": 1,
            "out_hidden_size": sizes.text_hidden,
            "num_position_embeddings": grid * grid,
            "deepstack_visual_indexes": [sizes.vision_depth // 2],
            "rope_parameters": {"rope_type": "axial", "rope_theta": VISION_ROPE_THETA},
        },
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": True,
    }
    dit = XR0DiTConfig(
        hidden_size=sizes.dit_hidden,
        head_dim=sizes.head_dim,
        num_hidden_layers=sizes.dit_layers,
        num_key_value_heads=sizes.kv_heads,
    )
    fields: dict[str, Any] = {"image_size": sizes.image_size, **overrides}
    return XR0Config(vlm_config=vlm, dit_config=dit, **fields)
