"""Small checkpoints in the layout of the released ones, written without the project's writer."""

from __future__ import annotations

import json

import numpy as np

from xr0_sim.model.checkpoints.tensor_layout import expected_tensors
from xr0_sim.model.spec.special_tokens import SPECIAL_TOKENS

IDS = {token: index for index, token in enumerate(SPECIAL_TOKENS)}


def released_config(vocabulary=1024, image_token=IDS["<|image_pad|>"]):
    """``config.json`` as transformers 4 wrote it: remote code, old rotary keys, dtypes inside."""
    return {
        "architectures": ["MiBoTForActionGeneration"],
        "auto_map": {"AutoModel": "modeling_mibot.MiBoTForActionGeneration"},
        "model_type": "mibot",
        "dtype": "bfloat16",
        "transformers_version": "4.57.1",
        "action_length": 4,
        "action_dim": 32,
        "state_dim": 32,
        "dit_config": {
            "dtype": "bfloat16",
            "model_type": "dit",
            "hidden_size": 64,
            "head_dim": 16,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
        },
        "vlm_config": {
            "architectures": ["Qwen3VLForConditionalGeneration"],
            "model_type": "qwen3_vl",
            "dtype": "bfloat16",
            "image_token_id": image_token,
            "video_token_id": IDS["<|video_pad|>"],
            "vision_start_token_id": IDS["<|vision_start|>"],
            "vision_end_token_id": IDS["<|vision_end|>"],
            "tie_word_embeddings": True,
            "text_config": {
                "model_type": "qwen3_vl_text",
                "dtype": "bfloat16",
                "vocab_size": vocabulary,
                "hidden_size": 48,
                "intermediate_size": 96,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 16,
                "max_position_embeddings": 2048,
                "rms_norm_eps": 1e-6,
                "rope_theta": 5000000,
                "rope_scaling": {
                    "mrope_interleaved": True,
                    "mrope_section": [4, 2, 2],
                    "rope_type": "default",
                },
                "tie_word_embeddings": True,
                "num_beams": 1,
            },
            "vision_config": {
                "model_type": "qwen3_vl",
                "dtype": None,
                "depth": 4,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "in_channels": 3,
                "patch_size": 16,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                "out_hidden_size": 48,
                "num_position_embeddings": 36,
                "hidden_act": "gelu_pytorch_tanh",
                "deepstack_visual_indexes": [0, 2],
            },
        },
    }


def random_tensors(config, seed=0):
    """float32 weights of a size at which every part of the network matters.

    Matrices keep the variance of what goes through them, gains stand around one.
    """
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in expected_tensors(config).items():
        matrix = len(shape) > 1 and not name.endswith(("adaln_table", "embed.weight"))
        scale = np.prod(shape[1:]) ** -0.5 if matrix else 0.2
        values = rng.normal(size=shape) * scale
        if len(shape) == 1 and name.endswith("weight"):
            values = 1.0 + values
        tensors[name] = values.astype(np.float32)
    return tensors


def write_shards(directory, tensors, shards=2):
    """Shards and their index; the tensors are dealt out in turn, as no writer of ours would."""
    from safetensors.numpy import save_file

    names = [f"model-{i:05d}-of-{shards:05d}.safetensors" for i in range(1, shards + 1)]
    places = {name: names[i % shards] for i, name in enumerate(tensors)}
    for file in names:
        part = {name: value for name, value in tensors.items() if places[name] == file}
        save_file(part, directory / file, metadata={"format": "pt"})
    total = sum(value.nbytes for value in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def write_released(directory, config=None, seed=0, shards=2):
    """A whole checkpoint; returns its config and tensors."""
    config = released_config() if config is None else config
    tensors = random_tensors(config, seed)
    (directory / "config.json").write_text(json.dumps(config))
    write_shards(directory, tensors, shards)
    return config, tensors


def write_statistics(directory, active, length=4):
    """``preprocessor_config.json`` with one robot type that moves the dimensions ``active``."""
    rng = np.random.default_rng(9)
    mean, std = np.zeros((length, 32)), np.zeros((length, 32))
    mean[:, active] = rng.normal(size=(length, len(active)))
    std[:, active] = rng.uniform(0.1, 2.0, size=(length, len(active)))
    statistics = {"tiny_arm": {"mean": mean.tolist(), "std": std.tolist()}}
    values = {"image_processor_type": "Qwen2VLImageProcessor", "action_config": statistics}
    (directory / "preprocessor_config.json").write_text(json.dumps(values))
    return mean, std


def write_libero_checkpoint(directory, length=10, spread=0.3, robot_type="libero_all"):
    """A whole checkpoint with random weights for a single arm, by default LIBERO's Panda."""
    from xr0_sim.model.vlm.tokenizer import build_tokenizer, prompt_corpus, save_tokenizer

    directory.mkdir(parents=True, exist_ok=True)
    write_released(directory, released_config() | {"action_length": length})
    mean, std = np.zeros((length, 32)), np.zeros((length, 32))
    std[:, :7] = spread
    values = {robot_type: {"mean": mean.tolist(), "std": std.tolist()}}
    (directory / "preprocessor_config.json").write_text(json.dumps({"action_config": values}))
    save_tokenizer(build_tokenizer(prompt_corpus()), directory)
