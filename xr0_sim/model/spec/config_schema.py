"""What a stored configuration may say, checked before a network is built from it.

A file is a claim by whoever wrote it: a missing switch must not become the default of another
network, and a size must not cost minutes or memory before it is found to be nonsense. Bounds lie
far above every published size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from xr0_sim.errors import CheckpointError
from xr0_sim.model.spec.action_layout import LAYOUT_DIM, STATE_LAYOUTS
from xr0_sim.model.spec.field_rules import (
    ANYTHING,
    OBJECT,
    Rule,
    bad_field,
    check_fields,
    choice,
    name,
    number,
    text,
    whole,
    wholes,
)
from xr0_sim.model.spec.image_rules import IMAGE_RULES

MOST_LAYERS = 512
WIDEST = 65_536
LONGEST_CHUNK = 1_000
MOST_EULER_STEPS = 1_000
MOST_PARAMETERS = 40_000_000_000
"""Ten times the released model."""

HEAD_RULES: dict[str, Rule] = {
    "action_window": whole(0, LONGEST_CHUNK, none=True),
    "noisy_position_offset": whole(0, LONGEST_CHUNK),
    "prefix_max": whole(0, LONGEST_CHUNK - 1),
    "num_euler_steps": whole(1, MOST_EULER_STEPS),
}
"""Switches of one action-expert head."""

SIZE_RULES: dict[str, Rule] = {
    "action_length": whole(1, LONGEST_CHUNK),
    "action_dim": choice(LAYOUT_DIM),
    "state_dim": choice(LAYOUT_DIM),
}

POLICY_RULES: dict[str, Rule] = {
    "vlm_config": OBJECT,
    "dit_config": OBJECT,
    **SIZE_RULES,
    **HEAD_RULES,
    "prefix_hide_probability": number(0.0, 1.0),
    "state_layout": choice(*STATE_LAYOUTS),
    "image_size": whole(16, 4096),
    "image_rule": choice(*IMAGE_RULES),
    "prompt_header": text(4096),
    "grounding": Rule("an object or null", lambda value: value is None or isinstance(value, dict)),
    "proposals": whole(0, 64),
    "tokenizer": name(),
    "preset": name(),
}

DIT_RULES: dict[str, Rule] = {
    "hidden_size": whole(1, WIDEST),
    "head_dim": whole(2, 1024),
    "num_hidden_layers": whole(1, MOST_LAYERS),
    "num_key_value_heads": whole(1, 1024),
}

TEXT_RULES: dict[str, Rule] = {
    "vocab_size": whole(1, 2**21),
    "hidden_size": whole(1, WIDEST),
    "intermediate_size": whole(1, 4 * WIDEST),
    "num_hidden_layers": whole(1, MOST_LAYERS),
    "num_attention_heads": whole(1, 1024),
    "num_key_value_heads": whole(1, 1024),
    "head_dim": whole(2, 1024),
    "max_position_embeddings": whole(1, 2**24),
    "rms_norm_eps": number(1e-12, 1.0),
}
TEXT_EXTRAS: dict[str, Rule] = {
    "hidden_act": choice("silu"),
    "attention_bias": choice(False),
    "attention_dropout": number(0.0, 0.0),
    "initializer_range": number(0.0, 10.0),
    "use_cache": choice(True, False),
    "pad_token_id": whole(0, 2**21, none=True),
    "tie_word_embeddings": choice(True, False),
    "rope_parameters": OBJECT,
    "rope_scaling": OBJECT,
    "rope_theta": number(1.0, 1e12),
}

VISION_RULES: dict[str, Rule] = {
    "depth": whole(1, MOST_LAYERS),
    "hidden_size": whole(1, WIDEST),
    "intermediate_size": whole(1, 4 * WIDEST),
    "num_heads": whole(1, 1024),
    "patch_size": whole(1, 256),
    "spatial_merge_size": whole(1, 16),
    "temporal_patch_size": whole(1, 16),
    "out_hidden_size": whole(1, WIDEST),
    "num_position_embeddings": whole(1, 2**20),
    "deepstack_visual_indexes": wholes(0, MOST_LAYERS - 1, MOST_LAYERS),
}
VISION_EXTRAS: dict[str, Rule] = {
    "hidden_act": choice("gelu_pytorch_tanh"),
    "in_channels": choice(3),
    "initializer_range": number(0.0, 10.0),
    "rope_parameters": OBJECT,
}

VLM_RULES: dict[str, Rule] = {
    "text_config": OBJECT,
    "vision_config": OBJECT,
    "image_token_id": whole(0, 2**21),
    "video_token_id": whole(0, 2**21),
    "vision_start_token_id": whole(0, 2**21),
    "vision_end_token_id": whole(0, 2**21),
    "tie_word_embeddings": choice(True, False),
}
ROPE_RULES: dict[str, Rule] = {
    "mrope_section": wholes(0, 512, 3, exactly=3),
    "mrope_interleaved": choice(True),
    "rope_type": choice("default"),
}
VISION_ROPE_RULES: dict[str, Rule] = {
    "rope_theta": number(1.0, 1e12),
    "rope_type": choice("axial", "default"),
}

BOOKKEEPING = frozenset(
    "_name_or_path architectures auto_map chunk_size_feed_forward dtype id2label "
    "is_encoder_decoder label2id model_type output_attentions output_hidden_states problem_type "
    "return_dict torch_dtype transformers_version".split()
)
"""What transformers writes beside every configuration; nothing of it is used."""

GROUNDING_KINDS = {
    "regressions": (str, int),
    "classes": (str, int),
    "points": (str, int),
    "lifts": (str, int, str),
}
MOST_GROUNDING = 1_000


def check_head_config(values: Mapping[str, Any], where: object) -> None:
    """Holds the ``config.json`` of a head to its four switches, no more and no fewer.

    Raises:
        CheckpointError: A switch is missing, unknown or out of range.
    """
    check_fields(values, HEAD_RULES, where, known=())


def policy_fields(
    values: Mapping[str, Any], where: object, known: Collection[str] = ()
) -> dict[str, Any]:
    """Fields of a policy's ``config.json`` that decide the network, checked.

    Args:
        values: The file's object.
        where: File, for messages.
        known: Further fields that the configuration class has.

    Raises:
        CheckpointError: A field is missing, unknown or out of range, or sizes do not fit together.
    """
    remedy = "restore the file; is this a policy checkpoint?"
    allowed = {*BOOKKEEPING, *known}
    check_fields(values, POLICY_RULES, where, known=allowed, remedy=remedy)
    vlm, dit = values["vlm_config"], values["dit_config"]
    check_fields(dit, DIT_RULES, where, "dit_config.", known=BOOKKEEPING)
    check_fields(vlm, VLM_RULES, where, "vlm_config.", known=BOOKKEEPING)
    parts = (
        ("text_config", TEXT_RULES, TEXT_EXTRAS),
        ("vision_config", VISION_RULES, VISION_EXTRAS),
    )
    for part, rules, extras in parts:
        place = f"vlm_config.{part}."
        check_fields(vlm[part], rules, where, place, known={*BOOKKEEPING, *extras})
    check_sizes(values, where)
    _check_grounding(values["grounding"], where)
    if not values["prefix_max"] < values["action_length"]:
        raise bad_field(
            where, "prefix_max", "fewer rows than action_length", values["prefix_max"], remedy
        )
    return {field: value for field, value in values.items() if field not in BOOKKEEPING} | {
        "vlm_config": vlm_fields(vlm),
        "dit_config": {field: dit[field] for field in DIT_RULES},
    }


def vlm_fields(vlm: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a ``vlm_config`` that decide the network, out of all that is stored with it."""
    text_known, vision_known = {**TEXT_RULES, **TEXT_EXTRAS}, {**VISION_RULES, **VISION_EXTRAS}
    return {
        **{field: vlm[field] for field in VLM_RULES if field in vlm},
        "text_config": {f: v for f, v in vlm["text_config"].items() if f in text_known},
        "vision_config": {f: v for f, v in vlm["vision_config"].items() if f in vision_known},
    }


def check_sizes(values: Mapping[str, Any], where: object) -> None:
    """Holds the sizes of any layout, ours or released, to their bounds and to each other.

    Costs nothing whatever the sizes are; fields that do not decide a size are let through.

    Raises:
        CheckpointError: A size is missing, no whole number, out of bounds, or does not fit.
    """
    top = {"vlm_config": OBJECT, "dit_config": OBJECT, **SIZE_RULES}
    check_fields(values, top, where, remedy="is this a released XR-0 checkpoint?")
    vlm, dit = values["vlm_config"], values["dit_config"]
    check_fields(vlm, VLM_RULES, where, "vlm_config.", optional=set(VLM_RULES) - _NESTED)
    language, vision = vlm["text_config"], vlm["vision_config"]
    check_fields(dit, DIT_RULES, where, "dit_config.")
    for part, rules, extras, place in (
        (language, TEXT_RULES, TEXT_EXTRAS, "vlm_config.text_config."),
        (vision, VISION_RULES, VISION_EXTRAS, "vlm_config.vision_config."),
    ):
        check_fields(part, {**rules, **extras}, where, place, optional=extras)
    _check_rotary(language, vision, where)
    _check_fit(vlm, dit, where)
    total = parameter_estimate(language, vision, dit)
    if total > MOST_PARAMETERS:
        raise CheckpointError(
            f"config {where}: expected at most {MOST_PARAMETERS / 1e9:.0f} billion parameters, got "
            f"sizes for {total / 1e9:.0f} billion; restore the file"
        )


_NESTED = {"text_config", "vision_config"}


def parameter_estimate(
    language: Mapping[str, Any], vision: Mapping[str, Any], dit: Mapping[str, Any]
) -> int:
    """Parameters of the large matrices; biases, gains and small projectors are left out."""
    width, head = language["hidden_size"], language["head_dim"]
    heads = 2 * (language["num_attention_heads"] + language["num_key_value_heads"])
    layer = width * (heads * head + 3 * language["intermediate_size"])
    total = language["vocab_size"] * width + language["num_hidden_layers"] * layer
    seen = vision["hidden_size"]
    total += vision["depth"] * seen * (4 * seen + 2 * vision["intermediate_size"])
    total += vision["num_position_embeddings"] * seen
    patch = 3 * vision["temporal_patch_size"] * vision["patch_size"] ** 2
    merged = seen * vision["spatial_merge_size"] ** 2
    mergers = 1 + len(vision["deepstack_visual_indexes"])
    total += patch * seen + mergers * merged * (merged + vision["out_hidden_size"])
    return int(total + dit["num_hidden_layers"] * 16 * dit["hidden_size"] ** 2)


def _check_rotary(language: Mapping[str, Any], vision: Mapping[str, Any], where: object) -> None:
    rope = language.get("rope_parameters", language.get("rope_scaling"))
    place = "vlm_config.text_config.rope_parameters"
    theta = rope.get("rope_theta", language.get("rope_theta")) if rope is not None else None
    if rope is None or theta is None:
        raise bad_field(
            where, place, "an object with rope_theta and mrope_section", rope, "restore the file"
        )
    if not TEXT_EXTRAS["rope_theta"].holds(theta):
        raise bad_field(
            where, f"{place}.rope_theta", TEXT_EXTRAS["rope_theta"].words, theta, "restore the file"
        )
    check_fields(
        rope, ROPE_RULES, where, f"{place}.", optional=("rope_type",), known=("rope_theta", "type")
    )
    if sum(rope["mrope_section"]) != language["head_dim"] // 2:
        words = f"three parts of half a head, {language['head_dim'] // 2}"
        raise bad_field(
            where, f"{place}.mrope_section", words, rope["mrope_section"], "restore the file"
        )
    check_fields(
        vision.get("rope_parameters", {}),
        VISION_ROPE_RULES,
        where,
        "vlm_config.vision_config.rope_parameters.",
        optional=VISION_ROPE_RULES,
        known=(),
    )


def _check_fit(vlm: Mapping[str, Any], dit: Mapping[str, Any], where: object) -> None:
    """Sizes that must agree, each a pair of what is and what it has to be."""
    language, vision = vlm["text_config"], vlm["vision_config"]
    layers = vision["deepstack_visual_indexes"]
    rows = {
        "vlm_config.text_config.num_attention_heads": (
            language["num_attention_heads"] % language["num_key_value_heads"] == 0,
            f"a multiple of num_key_value_heads = {language['num_key_value_heads']}",
            language["num_attention_heads"],
        ),
        "vlm_config.vision_config.hidden_size": (
            vision["hidden_size"] % (4 * vision["num_heads"]) == 0,
            f"a multiple of 4 * num_heads = {4 * vision['num_heads']}",
            vision["hidden_size"],
        ),
        "vlm_config.vision_config.out_hidden_size": (
            vision["out_hidden_size"] == language["hidden_size"],
            f"text_config.hidden_size = {language['hidden_size']}",
            vision["out_hidden_size"],
        ),
        "vlm_config.vision_config.num_position_embeddings": (
            round(vision["num_position_embeddings"] ** 0.5) ** 2
            == vision["num_position_embeddings"],
            "a square",
            vision["num_position_embeddings"],
        ),
        "vlm_config.vision_config.deepstack_visual_indexes": (
            len(set(layers)) == len(layers) <= language["num_hidden_layers"]
            and max(layers, default=0) < vision["depth"],
            f"different layers below depth = {vision['depth']}",
            layers,
        ),
        "vlm_config.text_config.pad_token_id": (
            (language.get("pad_token_id") or 0) < language["vocab_size"],
            f"a token below vocab_size = {language['vocab_size']}",
            language.get("pad_token_id"),
        ),
        "dit_config.hidden_size": (
            dit["hidden_size"] % (dit["head_dim"] * dit["num_key_value_heads"]) == 0,
            f"a multiple of head_dim * num_key_value_heads = "
            f"{dit['head_dim'] * dit['num_key_value_heads']}",
            dit["hidden_size"],
        ),
    }
    for field in ("image_token_id", "video_token_id", "vision_start_token_id"):
        rows[f"vlm_config.{field}"] = (
            vlm.get(field, 0) < language["vocab_size"],
            f"a token below vocab_size = {language['vocab_size']}",
            vlm.get(field),
        )
    for field in ("head_dim", "num_key_value_heads"):
        rows[f"dit_config.{field}"] = (
            dit[field] == language[field],
            f"the VLM's {language[field]}, since both attend over one cache",
            dit[field],
        )
    rows["dit_config.num_hidden_layers"] = (
        dit["num_hidden_layers"] <= language["num_hidden_layers"],
        f"at most the VLM's {language['num_hidden_layers']}",
        dit["num_hidden_layers"],
    )
    for field, (fits, words, got) in rows.items():
        if not fits:
            raise bad_field(where, field, words, got, "restore the file")


def _check_grounding(grounding: Mapping[str, Any] | None, where: object) -> None:
    if grounding is None:
        return
    rules = {kind: ANYTHING for kind in GROUNDING_KINDS}
    check_fields(grounding, rules, where, "grounding.", known=(), optional=rules)
    for kind, types in GROUNDING_KINDS.items():
        entries = grounding.get(kind, [])
        words = f"a list of [{', '.join('name' if t is str else 'number' for t in types)}]"
        fits = isinstance(entries, list) and len(entries) <= MOST_GROUNDING
        fits = fits and all(
            isinstance(entry, list)
            and len(entry) == len(types)
            and all(type(value) is wanted for value, wanted in zip(entry, types, strict=True))
            and 0 <= entry[1] <= MOST_GROUNDING
            for entry in entries
        )
        if not fits:
            raise bad_field(where, f"grounding.{kind}", words, entries, "restore the file")
