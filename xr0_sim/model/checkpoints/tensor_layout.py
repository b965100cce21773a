"""Names and shapes of the tensors in a released checkpoint, from its ``config.json`` alone.

Plain arithmetic, without torch: it tells what a file should hold before anything is loaded, and
gives the loader a second, independent derivation to agree with. Sources: the tensor index of the
released files and the Qwen3-VL module tree; the full size has 932 tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from xr0_sim.model.spec.config_schema import check_sizes

Shapes = dict[str, tuple[int, ...]]
FoundT = TypeVar("FoundT")

TIED_NAME = "vlm.lm_head.weight"
"""Need not be stored when it is the input embedding."""
EMBEDDING_NAME = "vlm.model.language_model.embed_tokens.weight"
TIME_FREQUENCIES = 256
DIT_MLP_RATIO = 4
PARTS: dict[str, tuple[str, ...]] = {
    "VLM vision": ("vlm.model.visual.",),
    "VLM text": ("vlm.",),
    "DiT": ("dit.",),
    "projectors": (
        "state_projector.", "action_projector.", "action_output_layer.",
        "t_embedder.", "t_projector.", "sink.",
    ),
}  # fmt: skip
"""Part of the model by the start of a tensor's name; the first match counts."""
OTHER = "other"

REFERENCE_TENSORS = 932
REFERENCE_BILLIONS = {"VLM": 4.44, "DiT": 0.27, "projectors": 0.01, "total": 4.7}
"""Published sizes: 4.7 B parameters in all (report) over a Qwen3-VL-4B (model card)."""


def part_of(name: str) -> str:
    """Key of `PARTS` that a tensor belongs to, or "other"."""
    for part, starts in PARTS.items():
        if name.startswith(starts):
            return part
    return OTHER


def expected_tensors(config: Mapping[str, Any]) -> Shapes:
    """All stored tensors of a checkpoint with this ``config.json``.

    Args:
        config: The nested dict with ``vlm_config``, ``dit_config``, ``action_dim``, ``state_dim``.

    Returns:
        Shape by name, in the order of the module tree.

    Raises:
        CheckpointError: A size is missing, out of bounds or does not fit the others.
    """
    check_sizes(config, "config.json")
    vlm, dit = config["vlm_config"], config["dit_config"]
    return {
        **_vision(vlm["vision_config"]),
        **_text(vlm["text_config"], _tied(vlm)),
        **_expert(dit, config["action_dim"], config["state_dim"]),
    }


def count_parameters(shapes: Mapping[str, Iterable[int]]) -> dict[str, int]:
    """Parameters per part of `PARTS`, with "VLM" and "total" added up."""
    counts = dict.fromkeys(PARTS, 0)
    for name, shape in shapes.items():
        part = part_of(name)
        counts[part] = counts.get(part, 0) + math.prod(shape)
    total = sum(counts.values())
    return {**counts, "VLM": counts["VLM vision"] + counts["VLM text"], "total": total}


def tied_words(where: object, head: str, embedding: str) -> str:
    """The message for an output head that is stored, but is not the embedding it is tied to."""
    return (
        f"weights {where}: expected {head} to equal {embedding}, since tie_word_embeddings is "
        "true, got other numbers; set it to false in config.json, or restore the file"
    )


def without_tied_head(
    shapes: Mapping[str, tuple[int, ...]], found: Mapping[str, FoundT], prefix: str = ""
) -> dict[str, FoundT]:
    """Stored tensors without the copy of the embedding that some writers store as output head.

    Args:
        shapes: Expected tensors.
        found: Stored ones.
        prefix: What the names of both lack in front, e.g. ``vlm.``.
    """
    name = TIED_NAME.removeprefix(prefix)
    return {key: value for key, value in found.items() if key in shapes or key != name}


def _tied(vlm: Mapping[str, Any]) -> bool:
    return bool(vlm.get("tie_word_embeddings", vlm["text_config"].get("tie_word_embeddings")))


def _linear(name: str, outputs: int, inputs: int, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (outputs, inputs)}
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def _layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _vision(vision: Mapping[str, Any]) -> Shapes:
    root, width, inner = "vlm.model.visual", vision["hidden_size"], vision["intermediate_size"]
    patch, time = vision["patch_size"], vision["temporal_patch_size"]
    merged = width * vision["spatial_merge_size"] ** 2
    shapes: Shapes = {
        f"{root}.patch_embed.proj.weight": (width, vision["in_channels"], time, patch, patch),
        f"{root}.patch_embed.proj.bias": (width,),
        f"{root}.pos_embed.weight": (vision["num_position_embeddings"], width),
    }
    for index in range(vision["depth"]):
        block = f"{root}.blocks.{index}"
        shapes |= _layer_norm(f"{block}.norm1", width) | _layer_norm(f"{block}.norm2", width)
        shapes |= _linear(f"{block}.attn.qkv", 3 * width, width)
        shapes |= _linear(f"{block}.attn.proj", width, width)
        shapes |= _linear(f"{block}.mlp.linear_fc1", inner, width)
        shapes |= _linear(f"{block}.mlp.linear_fc2", width, inner)
    mergers = {f"{root}.merger": width}
    for index in range(len(vision["deepstack_visual_indexes"])):
        mergers[f"{root}.deepstack_merger_list.{index}"] = merged
    for merger, normed in mergers.items():
        shapes |= _layer_norm(f"{merger}.norm", normed)
        shapes |= _linear(f"{merger}.linear_fc1", merged, merged)
        shapes |= _linear(f"{merger}.linear_fc2", vision["out_hidden_size"], merged)
    return shapes


def _text(text: Mapping[str, Any], tied: bool) -> Shapes:
    root, width, inner = "vlm.model.language_model", text["hidden_size"], text["intermediate_size"]
    head = text["head_dim"]
    queries, keys = text["num_attention_heads"] * head, text["num_key_value_heads"] * head
    shapes: Shapes = {f"{root}.embed_tokens.weight": (text["vocab_size"], width)}
    for index in range(text["num_hidden_layers"]):
        layer = f"{root}.layers.{index}"
        for name, outputs, inputs in (
            ("self_attn.q_proj", queries, width),
            ("self_attn.k_proj", keys, width),
            ("self_attn.v_proj", keys, width),
            ("self_attn.o_proj", width, queries),
            ("mlp.gate_proj", inner, width),
            ("mlp.up_proj", inner, width),
            ("mlp.down_proj", width, inner),
        ):
            shapes |= _linear(f"{layer}.{name}", outputs, inputs, bias=False)
        shapes |= {f"{layer}.self_attn.{name}.weight": (head,) for name in ("q_norm", "k_norm")}
        shapes |= {
            f"{layer}.{name}.weight": (width,)
            for name in ("input_layernorm", "post_attention_layernorm")
        }
    shapes[f"{root}.norm.weight"] = (width,)
    return shapes if tied else shapes | {TIED_NAME: (text["vocab_size"], width)}


def _expert(dit: Mapping[str, Any], action_dim: int, state_dim: int) -> Shapes:
    width, head = dit["hidden_size"], dit["head_dim"]
    shapes: Shapes = {}
    for index in range(dit["num_hidden_layers"]):
        layer = f"dit.layers.{index}"
        shapes[f"{layer}.adaln_table"] = (6, width)
        shapes |= _linear(f"{layer}.attn.qkv_proj", 3 * width, width)
        shapes |= _linear(f"{layer}.attn.o_proj", width, width, bias=False)
        shapes |= {f"{layer}.attn.{name}.weight": (head,) for name in ("q_norm", "k_norm")}
        inner = DIT_MLP_RATIO * width
        shapes |= _linear(f"{layer}.mlp.gate_proj", inner, width, bias=False)
        shapes |= _linear(f"{layer}.mlp.up_proj", inner, width, bias=False)
        shapes |= _linear(f"{layer}.mlp.down_proj", width, inner, bias=False)
        shapes |= {
            f"{layer}.{name}_layernorm.weight": (width,)
            for name in ("input", "middle", "post", "final")
        }
    for name, inputs, outputs in (
        ("state_projector", state_dim, width),
        ("action_projector", action_dim, width),
        ("action_output_layer", width, action_dim),
    ):
        shapes |= _linear(f"{name}.layers.0", outputs, inputs, bias=False)
        shapes |= _linear(f"{name}.layers.2", outputs, outputs, bias=False)
    shapes |= _linear("t_embedder.mlp.0", width, TIME_FREQUENCIES, bias=False)
    shapes |= _linear("t_embedder.mlp.2", width, width, bias=False)
    shapes |= _linear("t_projector.layers.0", 6 * width, width)
    return shapes | {"sink.weight": (1, width)}
