"""Stored configurations: strict fields, bounded sizes, and one line for everything else."""

from __future__ import annotations

import json
import time

import pytest
from released_files import released_config

from assets import CHECKPOINT_DIR
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.checkpoints.inspection import inspect_checkpoint
from xr0_sim.model.checkpoints.released_config import load_released_config
from xr0_sim.model.checkpoints.shipped import load_config, save_head, save_vlm
from xr0_sim.model.policy_loading import load_policy_model, random_policy_model
from xr0_sim.model.spec.presets import preset_config

HEAD = {"action_window": 4, "noisy_position_offset": 10, "num_euler_steps": 5, "prefix_max": 3}


@pytest.fixture(scope="module")
def policy():
    return random_policy_model(preset_config("nano", action_length=6, prefix_max=3), seed=0)


@pytest.fixture
def checkpoint(policy, tmp_path):
    save_vlm(tmp_path, policy.config, policy.model.vlm)
    policy.normalizer.save(tmp_path / "normalizer.safetensors")
    save_head(tmp_path, "prefix", policy.config, policy.model.expert)
    return tmp_path


def refused(path, what):
    """Loading a checkpoint ends at once, with one line that says what is wrong."""
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        load_policy_model(path, "prefix")
    assert time.process_time() - start < 3.0
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    assert what in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, "action_window is missing"),
        ({"actionwindow": 4, "action_window": ...}, "actionwindow is unknown"),
        ({"actionwindow": 4}, "actionwindow is unknown"),
        ({"prefix_max": ...}, "prefix_max is missing"),
        ({"num_euler_steps": 0}, "num_euler_steps: expected a whole number 1 .. 1000, got 0"),
        ({"num_euler_steps": -5}, "num_euler_steps"),
        ({"num_euler_steps": "5"}, "num_euler_steps"),
        ({"num_euler_steps": 5.0}, "num_euler_steps"),
        ({"num_euler_steps": True}, "num_euler_steps"),
        ({"num_euler_steps": None}, "num_euler_steps"),
        ({"num_euler_steps": 10**9}, "num_euler_steps"),
        ({"action_window": -1}, "action_window: expected a whole number 0 .. 1000 or null"),
        ({"action_window": "none"}, "action_window"),
        ({"action_window": [4]}, "action_window"),
        ({"noisy_position_offset": -10}, "noisy_position_offset"),
        ({"noisy_position_offset": 1e3}, "noisy_position_offset"),
        ({"prefix_max": -1}, "prefix_max"),
        ({"prefix_max": 6}, "prefix_max: expected 0..5, got 6"),
    ],
)
def test_a_head_has_its_four_switches_or_is_refused(checkpoint, change, expected):
    file = checkpoint / "heads" / "prefix" / "config.json"
    values = {} if change is None else HEAD | change
    file.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))
    refused(checkpoint, expected)
    with pytest.raises(CheckpointError):
        load_config(checkpoint, "prefix")


NO_OBJECTS = {
    "empty": "",
    "null": "null",
    "number": "3",
    "text": '"text"',
    "list": "[]",
    "torn": "{",
    "nan": '{"action_window": NaN}',
    "brackets": "[" * 100_000,
    "nested": '{"a":' * 40 + "1" + "}" * 40,
    "digits": "9" * 10_000,
    "mark": "\ufeff{}",
    "large": '{"a": "' + "x" * 2**20 + '"}',
}


@pytest.mark.parametrize("text", NO_OBJECTS.values(), ids=NO_OBJECTS)
@pytest.mark.parametrize("file", ["config.json", "heads/prefix/config.json"])
def test_what_is_no_object_is_one_line(checkpoint, file, text):
    (checkpoint / file).write_text(text, encoding="utf-8")
    refused(checkpoint, "expected readable JSON, got")


def put(values, place, value):
    *path, last = place.split(".")
    for name in path:
        values = values[name]
    if value is ...:
        del values[last]
    else:
        values[last] = value


TEXT, VISION = "vlm_config.text_config", "vlm_config.vision_config"
BAD = [
    ("vlm_config", None, "vlm_config: expected an object, got None"),
    ("vlm_config", [], "vlm_config: expected an object"),
    (TEXT, "text", "text_config: expected an object"),
    (TEXT, ..., "text_config is missing"),
    ("dit_config", {}, "dit_config.hidden_size is missing"),
    (f"{TEXT}.num_hidden_layers", 10**7, "num_hidden_layers: expected a whole"),
    (f"{TEXT}.hidden_size", 10**7, "hidden_size: expected a whole number"),
    (f"{TEXT}.hidden_size", "32", "hidden_size: expected a whole number"),
    (f"{TEXT}.vocab_size", 10**9, "vocab_size"),
    (f"{TEXT}.intermediate_size", 0, "intermediate_size"),
    (f"{TEXT}.intermediate_size", 2**17, "mismatches"),
    (f"{TEXT}.num_attention_heads", 3, "a multiple of num_key_value_heads"),
    (f"{TEXT}.num_key_value_heads", 0, "num_key_value_heads"),
    (f"{TEXT}.hidden_act", "relu", "hidden_act: expected 'silu'"),
    (f"{TEXT}.rms_norm_eps", "small", "rms_norm_eps"),
    (f"{TEXT}.rope_parameters.mrope_section", [1, 1, 1], "parts of half a head"),
    (f"{TEXT}.rope_parameters.rope_theta", -1, "rope_theta"),
    (f"{TEXT}.rope_parameters.rope_type", "yarn", "rope_type"),
    (f"{TEXT}.pad_token_id", 5000, "a token below vocab_size"),
    (f"{TEXT}.hiden_size", 32, "hiden_size is unknown"),
    (f"{VISION}.depth", 10**7, "depth: expected a whole number"),
    (f"{VISION}.num_heads", 3, "a multiple of 4 * num_heads"),
    (f"{VISION}.patch_size", 10**6, "patch_size"),
    (f"{VISION}.deepstack_visual_indexes", [99], "different layers below depth"),
    (f"{VISION}.deepstack_visual_indexes", [0] * 9, "different layers"),
    (f"{VISION}.num_position_embeddings", 17, "a square"),
    ("vlm_config.image_token_id", 10**6, "a token below vocab_size"),
    ("dit_config.num_hidden_layers", 3, "at most the VLM's 2"),
    ("dit_config.num_hidden_layers", 10**7, "num_hidden_layers"),
    ("dit_config.hidden_size", 33, "a multiple of head_dim"),
    ("dit_config.hiden_size", 32, "dit_config.hiden_size is unknown"),
    ("action_length", 10**7, "action_length"),
    ("action_length", True, "action_length"),
    ("action_dim", 14, "action_dim: expected 32, got 14"),
    ("state_layout", "mostion", "state_layout"),
    ("state_layout", ..., "state_layout is missing"),
    ("image_rule", None, "image_rule"),
    ("image_size", 10**9, "image_size"),
    ("prompt_header", ["a"], "prompt_header"),
    ("proposals", -1, "proposals"),
    ("tokenizer", "../../etc", "tokenizer: expected a name"),
    ("prefix_hide_probability", 2, "prefix_hide_probability"),
    ("prefix_hide_probability", "often", "prefix_hide_probability"),
    ("grounding", {"points": [["red", 10**9]]}, "grounding.points"),
    ("grounding", {"pionts": []}, "grounding.pionts is unknown"),
    ("grounding", [], "grounding"),
    ("temperature", 1.0, "temperature is unknown"),
]


@pytest.mark.parametrize(("place", "value", "expected"), BAD, ids=[f"{b[0]}={b[1]}" for b in BAD])
def test_a_policy_configuration_is_strict_and_bounded(checkpoint, place, value, expected):
    file = checkpoint / "config.json"
    values = json.loads(file.read_text())
    put(values, place, value)
    file.write_text(json.dumps(values))
    refused(checkpoint, expected)


def test_sizes_are_compared_with_the_files_before_anything_is_built(checkpoint):
    file = checkpoint / "config.json"
    values = json.loads(file.read_text())
    text, vision = (values["vlm_config"][part] for part in ("text_config", "vision_config"))
    for width, layers, expected in ((2**16, 512, "at most 40 billion"), (2048, 40, "mismatches")):
        text |= {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width}
        vision["out_hidden_size"] = width
        file.write_text(json.dumps(values))
        refused(checkpoint, expected)


def test_what_transformers_writes_beside_it_is_not_used(checkpoint):
    file = checkpoint / "config.json"
    values = json.loads(file.read_text())
    for part in (values, values["dit_config"], values["vlm_config"]["text_config"]):
        part |= {"id2label": {"0": 5}, "return_dict": [], "dtype": "float7", "problem_type": 3}
    file.write_text(json.dumps(values))
    for manifest in checkpoint.rglob("manifest.json"):
        manifest.unlink()  # it records the file as it was
    found = load_config(checkpoint, "prefix")
    assert not hasattr(found, "return_dict") and not hasattr(found.dit_config, "problem_type")


@pytest.mark.parametrize("name", ["block_dismantling", "towel_folding"])
@pytest.mark.parametrize("head", ["sync", "prefix", "prefix_lambda"])
def test_shipped_configurations_pass(name, head):
    config = load_config(CHECKPOINT_DIR / name, head)
    window, offset = (4, 10) if head == "prefix_lambda" else (None, 0)
    assert (config.action_window, config.noisy_position_offset) == (window, offset)
    assert (config.prefix_max, config.num_euler_steps) == (0 if head == "sync" else 6, 5)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (f"{TEXT}.num_hidden_layers", 10**7),
        (f"{TEXT}.hidden_size", 10**7),
        (VISION, None),
        ("dit_config", [1]),
        ("action_length", "4"),
        (f"{TEXT}.rope_scaling", None),
    ],
)
def test_released_layouts_are_bounded_too(tmp_path, place, value):
    values = released_config() | {"num_labels": 10**9}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert load_released_config(tmp_path).action_length == 4
    put(values, place, value)
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "model.safetensors").write_bytes(b"")
    for load in (load_released_config, inspect_checkpoint):
        with pytest.raises(CheckpointError) as caught:
            load(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "switch", [{"num_euler_steps": 0}, {"num_euler_steps": "5"}, {"action_window": -1}]
)
def test_the_same_holds_in_python(switch):
    with pytest.raises(ConfigError, match=next(iter(switch))):
        preset_config("nano", action_length=6, **switch)
