"""Sizes of the public Qwen3-VL models, as `Qwen3VLConfig` takes them."""

from __future__ import annotations

from typing import Any


def _qwen3_vl(hidden: int, mlp: int, layers: int, heads: int) -> dict[str, Any]:
    """What the dense members of the family share, and the four sizes they differ in."""
    return {
        "text_config": {
            "vocab_size": 151_936,
            "hidden_size": hidden,
            "intermediate_size": mlp,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 262_144,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5_000_000.0,
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
        },
        "vision_config": {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": hidden,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [5, 11, 17],
        },
        "image_token_id": 151_655,
        "video_token_id": 151_656,
        "vision_start_token_id": 151_652,
        "vision_end_token_id": 151_653,
        "tie_word_embeddings": True,
    }


QWEN3_VL_2B = _qwen3_vl(hidden=2048, mlp=6144, layers=28, heads=16)
"""Qwen3-VL-2B-Instruct, from its public configuration file."""

QWEN3_VL_4B = _qwen3_vl(hidden=2560, mlp=9728, layers=36, heads=32)
"""Qwen3-VL-4B-Instruct, from its public configuration file."""
